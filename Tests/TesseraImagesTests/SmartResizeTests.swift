import Fixtures
import TesseraCore
import TesseraImages
import Testing

@Suite struct SmartResizeTests {
  /// A rule, a size and what transformers' processors make of it.
  struct Case: Sendable {
    let rule: String
    let size: ImageSize
    let result: ImageSize

    init(_ rule: String, _ width: Int, _ height: Int, _ newWidth: Int, _ newHeight: Int) {
      self.rule = rule
      size = ImageSize(width: width, height: height)
      result = ImageSize(width: newWidth, height: newHeight)
    }
  }

  static let cases = [
    Case("28/3136/1003520", 640, 480, 644, 476),
    Case("28/3136/1003520", 10, 10, 56, 56),
    Case("28/3136/1003520", 6000, 4000, 1204, 812),
    Case("8/262144/1048576", 640, 427, 640, 424),
    Case("8/262144/1048576:emu3", 600, 120, 1152, 232),
    Case("28/147456/2359296:paddleocr", 10, 100, 140, 1232),
    Case("16/262144/4194304:glm-image", 1024, 1024, 512, 512),
  ]

  @Test(arguments: cases)
  func `sizes equal the processors'`(example: Case) throws {
    let parsed = try #require(ResizeRule("bicubic:smart=\(example.rule)"))
    #expect(parsed.description == "bicubic:smart=\(example.rule)")
    guard case .smart(_, let smart) = parsed else { return }
    #expect(try smart.size(for: example.size) == example.result)
  }

  @Test func `extreme shapes and bad numbers are refused`() throws {
    let rule = try #require(SmartResize(factor: 28, minimum: 3136, maximum: 1_003_520))
    #expect(throws: TesseraError.self) { try rule.size(for: ImageSize(width: 1, height: 201)) }
    for text in ["0/1/2", "28/5/4", "28/1", "28/1/2:other", "28/1/2/3"] {
      #expect(ResizeRule("bicubic:smart=\(text)") == nil)
    }
  }

  @Test func `Emu3 refuses long shapes and thin sides, and its port takes them`() throws {
    let own = try #require(SmartResize(factor: 8, minimum: 64, maximum: 4096, variant: .emu3))
    let port = try #require(SmartResize(factor: 8, minimum: 64, maximum: 4096))
    for size in [ImageSize(width: 601, height: 120), ImageSize(width: 7, height: 9)] {
      #expect(throws: TesseraError.self) { try own.size(for: size) }
      #expect(throws: Never.self) { try port.size(for: size) }
    }
    #expect(throws: Never.self) { try own.size(for: ImageSize(width: 600, height: 120)) }
  }

  @Test func `sizes are known from the header`() throws {
    let path = Fixtures.path("photos/china.jpg")
    let input = ImageInput(key: "china", source: "china.jpg", location: .path(path))
    let header = try input.header()
    #expect(header.size == ImageSize(width: 640, height: 427))
    let sizes = try Preprocessing.tesseraF8.sizes(for: header)
    #expect(sizes.resized == ImageSize(width: 384, height: 256))
    #expect(sizes.crop == PixelBox(left: 64, top: 0, width: 256, height: 256))
    #expect(throws: TesseraError.self) { try input.header(limits: ImageLimits(pixels: 1000)) }
  }
}
