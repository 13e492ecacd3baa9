import Fixtures
import Foundation
import TesseraCore
import TesseraImages
import Testing

/// Small and damaged inputs for the C targets; runs under AddressSanitizer too.
@Suite struct ImageShimTests {
  private let jpeg: [UInt8]
  private let png: [UInt8]

  init() throws {
    jpeg = try Fixtures.bytes("photos/home.jpg")
    png = Self.smallPNG
  }

  /// A 3 x 2 picture, written by Pillow.
  private static let smallPNG: [UInt8] = Array(
    Data(
      base64Encoded:
        "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAASFvFNAAAAE0lEQVR4nGNkZGKGABZOTk4ICwACxABLZ3bIWgAAAABJRU5ErkJggg=="
    ) ?? Data()
  )

  /// The same picture as WebP, lossless, written by Pillow.
  private static let smallWebP: [UInt8] = Array(
    Data(
      base64Encoded:
        "UklGRjIAAABXRUJQVlA4TCUAAAAvAkAAAC+gkG0EyN9wNrtHYlDmYP5TskNN2wZsqPMvp0b0P6YXAA=="
    ) ?? Data()
  )

  /// A 3 x 2 picture of four colors, written by Pillow.
  private static let smallGIF: [UInt8] = Array(
    Data(
      base64Encoded: "R0lGODdhAwACAIEAAAECAwQFBgcICQoLDCwAAAAAAwACAAAICQABBBAwQECAgAA7"
    ) ?? Data()
  )

  @Test func `sound files are read`() throws {
    let photograph = try ImageDecoder().decode(jpeg)
    #expect(photograph.size == ImageSize(width: 512, height: 384))
    #expect(photograph.image.pixels.count == 512 * 384 * 3)
  }

  @Test(arguments: ResamplingFilter.allCases, [1, 3, 47, 61, 700])
  func `resampling reads no byte outside of the picture`(filter: ResamplingFilter, side: Int) throws
  {
    // At the far edge windows are cut; under AddressSanitizer a load too far ends the test.
    for size in [ImageSize(width: side, height: 5), ImageSize(width: 5, height: side)] {
      for bytes in [jpeg, png] {
        let image = try Preprocessing(resize: .exact(filter, size)).image(from: bytes).image
        #expect(image.width == size.width && image.height == size.height)
      }
    }
  }

  @Test(arguments: [0, 1, 2, 3, 20, 100, 300, 900, 5000, 20_000, 30_000])
  func `a cut JPEG is an error, or keeps its rows where that is allowed`(count: Int) throws {
    let cut = Array(jpeg.prefix(count))
    #expect(throws: TesseraError.self) { try ImageDecoder().decode(cut) }
    #expect(throws: TesseraError.self) { try Preprocessing.tesseraF8.image(from: cut) }
    guard count >= 5000 else { return }
    let partial = try ImageDecoder(truncation: .partialRows).decode(cut)
    let whole = try ImageDecoder().decode(jpeg)
    #expect(partial.size == whole.size)
    #expect(partial.image.pixels.prefix(512 * 3) == whole.image.pixels.prefix(512 * 3))
  }

  @Test func `rows below the crop are missed too when they are missing`() throws {
    // The crop needs the top rows alone; what is cut off lies below.
    let profile = Preprocessing(
      resize: .exact(.bicubic, ImageSize(width: 512, height: 383)),
      crop: .center(ImageSize(width: 16, height: 16), .floor)
    )
    _ = try profile.image(from: jpeg)
    #expect(throws: TesseraError.self) { try profile.image(from: Array(jpeg.dropLast(2000))) }
  }

  @Test func `a JPEG with any byte of its head damaged ends as a picture or an error`() {
    for place in 2..<700 {
      var damaged = jpeg
      damaged[place] ^= 0xFF
      do {
        let decoded = try ImageDecoder(limits: ImageLimits(pixels: 1 << 20)).decode(damaged)
        #expect(decoded.size.pixels <= 1 << 20)
      } catch {
        #expect(!error.description.isEmpty && !error.description.contains("\n"))
      }
    }
  }

  @Test(arguments: [
    (
      smallWebP, 1,
      [0, 255, 0, 40, 215, 7, 80, 175, 14, 120, 135, 21, 160, 95, 28, 200, 55, 35] as [UInt8]
    ),
    (smallGIF, 2, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 7, 8, 9, 4, 5, 6]),
  ])
  func `a file is read, and with any byte damaged or cut off ends as a picture or an error`(
    file: [UInt8],
    end: Int,
    pixels: [UInt8]
  ) throws {
    #expect(try ImageDecoder().decode(file).image.pixels == pixels)
    // Pillow does without the end of a GIF, and libwebp without the last byte, which fills up a chunk.
    for count in 0..<(file.count - end) {
      let cut = Array(file.prefix(count))
      #expect(throws: TesseraError.self) { try ImageDecoder().decode(cut) }
      check(cut)
    }
    for place in file.indices {
      for mask: UInt8 in [0x01, 0x10, 0xFF] {
        var damaged = file
        damaged[place] ^= mask
        check(damaged)
      }
    }
  }

  /// Decodes by every rule; what comes of it is within the limits, or an error of one line.
  private func check(_ file: [UInt8]) {
    for truncation in TruncationRule.allCases {
      do {
        let limits = ImageLimits(pixels: 1 << 20)
        let decoded = try ImageDecoder(limits: limits, truncation: truncation).decode(file)
        #expect(decoded.size.pixels <= 1 << 20)
      } catch {
        #expect(!error.description.isEmpty && !error.description.contains("\n"))
      }
    }
  }

  /// Pixels (11, 101, 250) and (7, 8, 9), of which the second is transparent.
  private static let transparentGIF: [UInt8] = Array(
    Data(
      base64Encoded:
        "R0lGODlhAgABAIEAAAtl+gcICQAAAAAAACH5BAEAAAEALAAAAAACAAEAAAgFAAEECAgAOw=="
    ) ?? Data()
  )

  /// As `transparentPNG`.
  private static let transparentWebP: [UInt8] = Array(
    Data(
      base64Encoded: "UklGRiYAAABXRUJQVlA4TBkAAAAvAQAAEA9whC4FaRuwaH9PiJ+mcGZkRP8DAA=="
    ) ?? Data()
  )

  /// Pixels (11, 101, 250) with alpha 77 and (7, 8, 9) with alpha 0, written by Pillow.
  private static let transparentPNG: [UInt8] = Array(
    Data(
      base64Encoded:
        "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAYAAAD0In+KAAAAEUlEQVR4nGPgTv3ly87ByQAACscB0AJoXoAAAAAASUVORK5CYII="
    ) ?? Data()
  )

  /// Pixels (1, 2, 3) and (7, 8, 9), of which the second color is the transparent one.
  private static let keyedPNG: [UInt8] = Array(
    Data(
      base64Encoded:
        "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAABnRSTlMABwAIAAmrSTKdAAAAD0lEQVR4nGNkZGJmY2MDAABOABpfzJMgAAAAAElFTkSuQmCC"
    ) ?? Data()
  )

  @Test(arguments: [
    (AlphaRule.drop, [11, 101, 250, 7, 8, 9] as [UInt8], [1, 2, 3, 7, 8, 9] as [UInt8]),
    (.onWhite, [181, 208, 253, 255, 255, 255], [1, 2, 3, 7, 8, 9]),
    (.composited, [181, 208, 253, 255, 255, 255], [1, 2, 3, 255, 255, 255]),
  ])
  func `transparency is dropped, cut or rounded on white`(
    rule: AlphaRule,
    transparent: [UInt8],
    keyed: [UInt8]
  ) throws {
    let decoder = ImageDecoder(alpha: rule)
    #expect(try decoder.decode(Self.transparentPNG).image.pixels == transparent)
    #expect(try decoder.decode(Self.transparentWebP).image.pixels == transparent)
    let cleared = try decoder.decode(Self.transparentGIF).image.pixels
    #expect(cleared == [11, 101, 250] + transparent.dropFirst(3))
    #expect(try decoder.decode(Self.keyedPNG).image.pixels == keyed)
  }

  @Test func `a PNG without its last rows is an error`() throws {
    // What follows the last row may be missing, as for Pillow: the sum of the rows, the end chunk.
    for count in 0..<55 {
      #expect(throws: TesseraError.self) { try ImageDecoder().decode(Array(png.prefix(count))) }
    }
    let whole = try ImageDecoder().decode(png)
    for count in 55..<png.count {
      #expect(try ImageDecoder().decode(Array(png.prefix(count))) == whole, "\(count) bytes")
    }
  }

  @Test func `a PNG with a damaged byte in front of its pixels is an error`() {
    for place in 8..<(png.count - 12) {
      var damaged = png
      damaged[place] ^= 0x10
      // As for Pillow, neither a checksum of pixels counts nor a length beyond the end.
      guard place < 33 || (37..<41).contains(place) else {
        do { _ = try ImageDecoder().decode(damaged) } catch { #expect(!error.cause.contains("\n")) }
        continue
      }
      #expect(throws: TesseraError.self, "byte \(place)") { try ImageDecoder().decode(damaged) }
    }
  }

  @Test(arguments: [
    ("bicubic:area=262144/16", ImageSize(width: 3, height: 20_000)),
    ("nearest:area=4096/64", ImageSize(width: 4000, height: 2)),
    ("box:area=100/32", ImageSize(width: 1, height: 900)),
  ])
  func `a rule that leaves a side of nothing is refused by plan and pixels alike`(
    text: String,
    size: ImageSize
  ) throws {
    let pixels = [UInt8](repeating: 7, count: size.pixels * 3)
    let file = try PNGFile.encode(
      RGBImage(width: size.width, height: size.height, pixels: pixels)
    )
    let profile = Preprocessing(resize: try #require(ResizeRule(text)))
    let planned = #expect(throws: TesseraError.self) {
      try profile.sizes(for: ImageDecoder().header(of: file))
    }
    let decoded = #expect(throws: TesseraError.self) { try profile.image(from: file) }
    #expect(planned == decoded && planned?.cause.contains("a side of none") == true)
  }

  @Test func `a PNG that claims too many pixels is refused by its header`() {
    var bomb = png
    bomb[16] = 0x7F  // the width's first byte: 2,130,706,435 columns
    #expect(throws: TesseraError.self) { try ImageDecoder().decode(bomb) }
  }

  @Test(arguments: [
    ("BM\0\0", "BMP"), ("RIFF\0\0\0\0WAVEfmt ", "not JPEG"),
    ("hello, world", "by its first bytes"),
  ])
  func `another format is named`(content: String, name: String) {
    let error = #expect(throws: TesseraError.self) {
      try ImageDecoder().decode(Array(content.utf8))
    }
    #expect(error?.kind == .malformedInput)
    #expect(error?.cause.contains(name) == true)
    #expect(error?.cause.hasSuffix("convert it to an 8-bit JPEG or a PNG") == true)
  }

  @Test func `damaged Exif data leave the picture upright`() throws {
    // An Exif segment right behind the start of image, cut and damaged in every way.
    let tiff: [UInt8] = [
      0x4D, 0x4D, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0,
    ]
    func photograph(_ exif: [UInt8]) -> [UInt8] {
      let segment = Array("Exif\0\0".utf8) + exif
      let length = segment.count + 2
      return jpeg.prefix(2) + [0xFF, 0xE1, UInt8(length >> 8), UInt8(length & 255)] + segment
        + jpeg.dropFirst(2)
    }
    #expect(try ImageDecoder().header(of: photograph(tiff)).orientation == .turnedRight)
    for count in 0..<18 {
      let cut = photograph(Array(tiff.prefix(count)))
      #expect(try ImageDecoder().header(of: cut).orientation == .upright)
    }
    for place in tiff.indices {
      var damaged = tiff
      damaged[place] = 0xFF
      #expect(throws: Never.self) { try ImageDecoder().header(of: photograph(damaged)) }
    }
  }
}
