import Fixtures
import Foundation
import TesseraCore
import TesseraImages
import Testing

/// What Pillow made of one photograph under one set of rules (fixtures/images/make.py).
private struct Golden: Decodable, CustomTestStringConvertible {
  let photograph: String
  let rules: String
  let width: Int
  let height: Int
  let sha256: String

  var testDescription: String { "\(photograph) \(rules)" }

  static let all: [Golden] =
    (try? JSONDecoder().decode([Golden].self, from: Data(Fixtures.bytes("images/golden.json"))))
    ?? []

  var profile: Preprocessing? {
    let parts = rules.split(separator: "|").map(String.init)
    guard let resize = ResizeRule(parts[0]), let crop = CropRule(parts[1]),
      let orientation = OrientationRule(rawValue: parts[2])
    else { return nil }
    return Preprocessing(orientation: orientation, resize: resize, crop: crop)
  }
}

extension Fixtures {
  static func bytes(_ name: String) throws -> [UInt8] {
    try [UInt8](Data(contentsOf: URL(filePath: path(name))))
  }
}

@Suite struct ImagesPreprocessingTests {
  @Test func `there are golden pixels of five photographs`() {
    #expect(Golden.all.count == 5 * 27)
  }

  @Test(arguments: Golden.all)
  fileprivate func `pixels equal Pillow's`(golden: Golden) throws {
    let profile = try #require(golden.profile)
    let image = try profile.image(from: Fixtures.bytes("photos/\(golden.photograph)")).image
    #expect(image.width == golden.width)
    #expect(image.height == golden.height)
    #expect(FileDigest.sha256(of: image.pixels) == golden.sha256)
  }

  @Test(arguments: Golden.all)
  fileprivate func `decoding a region gives what decoding everything gives`(golden: Golden) throws {
    let profile = try #require(golden.profile)
    let bytes = try Fixtures.bytes("photos/\(golden.photograph)")
    let whole = try profile.apply(to: ImageDecoder().decode(bytes))
    #expect(try profile.image(from: bytes) == whole)
  }

  @Test func `sizes, crop and orientation are recorded`() throws {
    let bytes = try Fixtures.bytes("photos/turned/china.jpg")
    let applied = try Preprocessing.tesseraF8.image(from: bytes)
    #expect(applied.originalSize == ImageSize(width: 640, height: 427))
    #expect(applied.orientation == .turnedRight)
    #expect(applied.resizedSize == ImageSize(width: 256, height: 384))
    #expect(applied.cropBox == PixelBox(left: 0, top: 64, width: 256, height: 256))
    var ignoring = Preprocessing.tesseraF8
    ignoring.orientation = .ignore
    #expect(try ignoring.image(from: bytes).orientation == .upright)
  }

  @Test func `a profile survives its JSON`() throws {
    let profile = Preprocessing(
      orientation: .apply,
      resize: .area(.lanczos, pixels: 262_144, multiple: 16),
      crop: .center(ImageSize(width: 224, height: 192), .torchvision),
      pad: .multiple(16),
      alpha: .onWhite,
      truncation: .partialRows,
      range: .unit
    )
    let json = try JSONEncoder().encode(profile)
    #expect(try JSONDecoder().decode(Preprocessing.self, from: json) == profile)
  }

  @Test(arguments: [
    "bicubic:short=256", "lanczos:short=1:torchvision", "box:exact=3x4", "hamming:area=65536/8",
    "bicubic:adm=256", "nearest:square=64", "none",
  ])
  func `a resize rule is written as it is read`(text: String) {
    #expect(ResizeRule(text)?.description == text)
  }

  @Test(arguments: [
    "", "bicubic", "cubic:short=256", "bicubic:short=0", "bicubic:short=-1", "bicubic:short=",
    "bicubic:exact=256", "bicubic:exact=0x1", "bicubic:area=65536", "bicubic:short=256:up",
    "bicubic:short=99999999999999999999", "bicubic:short=1=2",
  ])
  func `another text is refused`(text: String) {
    #expect(ResizeRule(text) == nil)
  }

  @Test func `a crop that is too large is refused in one line`() throws {
    let profile = Preprocessing(crop: .center(ImageSize(width: 4000, height: 10), .floor))
    let error = #expect(throws: TesseraError.self) {
      try profile.image(from: Fixtures.bytes("photos/home.jpg"))
    }
    #expect(error?.kind == .mismatch)
    #expect(error?.description.contains("center:10x4000") == true)
  }

  @Test func `sizes over the limit are refused before they are allocated`() throws {
    let bytes = try Fixtures.bytes("photos/home.jpg")
    let profiles = [
      Preprocessing(resize: .exact(.bicubic, ImageSize(width: 1 << 30, height: 1 << 30))),
      Preprocessing(resize: .short(.lanczos, 1 << 40, .rounded)),
      Preprocessing(pad: .multiple(1 << 40)),
    ]
    for profile in profiles {
      #expect(throws: TesseraError.self) { try profile.image(from: bytes) }
    }
    #expect(throws: TesseraError.self) {
      try Preprocessing().image(from: bytes, limits: ImageLimits(pixels: 1000))
    }
    #expect(throws: TesseraError.self) {
      try Preprocessing().image(from: bytes, limits: ImageLimits(bytes: 1000))
    }
  }

  @Test func `pixel tables have the ends that their formulas have`() {
    #expect(PixelRange.symmetric.table.first == -1 && PixelRange.symmetric.table.last == 1)
    #expect(PixelRange.unit.table.first == 0 && PixelRange.unit.table.last == 1)
    #expect(PixelRange.logitLaplace.table[255] == Float(0.8) + Float(0.1))
    // The formulas agree on paper; float32 and float64 do not (reference: numpy and torch, 128 of 256).
    let pairs = zip(PixelRange.symmetric.table, PixelRange.normalized.table)
    #expect(pairs.count { $0 != $1 } == 128)
  }
}
