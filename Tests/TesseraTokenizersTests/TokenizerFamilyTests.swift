import Foundation
import TesseraCore
import TesseraImages
import TesseraTokenizers
import Testing

/// Families by name: what is listed, what is refused, and where.
@Suite struct TokenizerFamilyTests {
  @Test func `every family has a profile, a licence and checkpoints`() {
    for summary in TokenizerFamily.allCases.map({ FamilySummary($0) }) {
      #expect(summary.profiles.first?.name == "original")
      #expect(
        !summary.checkpoints.isEmpty && !summary.licence.isEmpty && !summary.spellings.isEmpty
      )
    }
  }

  @Test(arguments: [
    ("llamagen@hf:x.safetensors", "'hf' is no option of llamagen"),
    ("cosmos@levels=8.x:x.safetensors", "'levels=8.x' is no option of cosmos"),
    ("taming@scales=1.2:x.safetensors", "'scales=1.2' is no option of taming"),
    ("unknown:x.safetensors", "no such file"),
  ])
  func `options that a family has not are named`(tokenizer: String, words: String) {
    let error = #expect(throws: TesseraError.self) { try ImageTokenizer(opening: tokenizer) }
    #expect(error?.description.contains(words) == true)
  }

  @Test(arguments: [
    ("tessera-f8", "tessera-f8"), ("own.h5", "/here/own.h5"), ("/there/own.h5", "/there/own.h5"),
    ("janus@hf:own.pt", "janus@hf:/here/own.pt"), ("var:/there/own.pt", "var:/there/own.pt"),
    ("a:b.h5", "/here/a:b.h5"),
  ])
  func `names with paths become independent of the folder`(name: String, absolute: String) {
    #expect(ImageTokenizer.absoluteName(of: name, in: "/here") == absolute)
  }

  @Test(arguments: [
    "none", "flip", "ten-crop:1.1", "ten-crop:2.0",
  ])
  func `augmentations come back from their text`(text: String) {
    #expect(Augmentation(text)?.description == text)
  }

  @Test func `ten crops are corners and middle, then those of the mirror image`() throws {
    // Each pixel's red is its column, its green its row.
    var pixels: [UInt8] = []
    for y: UInt8 in 0..<5 { for x: UInt8 in 0..<6 { pixels += [x, y, 0] } }
    let image = RGBImage(width: 6, height: 5, pixels: pixels)
    let crop = CropRule.center(ImageSize(width: 4, height: 4), .floor)
    let views = Augmentation.tenCrop(range: 1.5).views(of: image, crop: crop)
    #expect(
      views.map { [$0.pixels[0], $0.pixels[1]] } == [
        [0, 0], [2, 0], [0, 1], [2, 1], [1, 0], [5, 0], [3, 0], [5, 1], [3, 1], [4, 0],
      ]
    )
    #expect(views.allSatisfy { $0.width == 4 && $0.height == 4 })
    #expect(Augmentation.flip.views(of: image, crop: .none)[1].pixels[0] == 5)
    let profile = Preprocessing(
      resize: .halvings(.bicubic, 256),
      crop: .center(.init(width: 256, height: 256), .floor)
    )
    #expect(
      try Augmentation.tenCrop(range: 1.1).enlarging(profile).resize == .halvings(.bicubic, 281)
    )
    #expect(throws: TesseraError.self) {
      try Augmentation.tenCrop(range: 1.1).enlarging(Preprocessing())
    }
  }

  @Test(arguments: [
    "opencv-linear:short=256", "opencv-linear:square=128:ceil", "lanczos:floor=16",
    "bicubic:long=384:14", "bicubic:long=384",
  ])
  func `resize rules come back from their text`(text: String) {
    #expect(ResizeRule(text)?.description == text)
  }
}
