import Fixtures
import Foundation
import TesseraCore
import TesseraImages
import TesseraTokenizers
import Testing

@Suite struct ImageTokenizerTests {
  let tokenizer: ImageTokenizer

  init() throws { tokenizer = try ImageTokenizer(opening: "tessera-f8") }

  func picture(_ name: String) throws -> RGBImage {
    let bytes = try FileDigest.bytes(of: Fixtures.path("photos/\(name)"), maximumBytes: 1 << 22)
    return try tokenizer.description.preprocessing.image(from: bytes).image
  }

  func psnr(_ first: RGBImage, _ second: RGBImage) -> Double {
    let squares = zip(first.pixels, second.pixels).reduce(0) { sum, pair in
      let difference = Int(pair.0) - Int(pair.1)
      return sum + difference * difference
    }
    return 10 * log10(255 * 255 / (Double(squares) / Double(first.pixels.count)))
  }

  @Test func `the embedded tokenizer is what its model card says`() throws {
    #expect(tokenizer.vocabularySize == 64_000)
    #expect(tokenizer.stride == 8)
    #expect(tokenizer.description.preprocessing == .tesseraF8)
    // The bound that the encoder must keep: 3 GMAC for 256 x 256 pixels.
    let encoder = try #require(tokenizer.encoder)
    #expect(encoder.graph.multiplyAdds(height: 256, width: 256) <= 3_000_000_000)
  }

  @Test(arguments: ["china.jpg", "chelsea.png", "astronaut.png"])
  func `a photograph survives its codes`(name: String) throws {
    let original = try picture(name)
    let encoded = try tokenizer.encode(original)
    #expect(encoded.grid.height == 32 && encoded.grid.width == 32)
    #expect(encoded.grid.codes.allSatisfy { $0 < 64_000 })
    #expect(Set(encoded.grid.codes).count > 200)
    #expect(encoded.margin >= 0 && encoded.margin <= 0.5)
    #expect(psnr(original, try tokenizer.decode(encoded.grid)) > 20)
  }

  @Test func `codes do not depend on what else is encoded, nor on how many at once`() async throws {
    let original = try picture("coffee.png")
    let alone = try tokenizer.encode(original)
    let small = RGBImage(width: 64, height: 40, pixels: Array(original.pixels.prefix(64 * 40 * 3)))
    _ = try tokenizer.encode(small)
    try await withThrowingTaskGroup(of: CodeGrid.self) { group in
      for _ in 0..<4 { group.addTask { [tokenizer] in try tokenizer.encode(original).grid } }
      for try await grid in group { #expect(grid == alone.grid) }
    }
  }

  @Test func `a size that is no multiple of the stride is refused`() {
    let picture = RGBImage(width: 30, height: 32, pixels: [UInt8](repeating: 0, count: 30 * 32 * 3))
    #expect(throws: TesseraError.self) { try tokenizer.encode(picture) }
  }

  @Test func `a code outside the vocabulary is refused`() {
    let grid = CodeGrid(height: 1, width: 1, codes: [64_000])
    #expect(throws: TesseraError.self) { try tokenizer.decode(grid) }
  }

  @Test func `a checkpoint that does not say which tokenizer it is is refused`() {
    #expect(throws: TesseraError.self) {
      try ImageTokenizer(opening: Fixtures.path("weights/fer-emotion.hdf5"))
    }
    #expect(throws: TesseraError.self) { try ImageTokenizer(opening: "no-such-tokenizer") }
  }

  @Test(arguments: [
    ("{}", "name"),
    (#"{"name":"x","family":"unknown"}"#, "family"),
    (
      #"{"name":"x","family":"cosmos","checkpoint":"../x.h5","quantizer":{"kind":"fsq","variant":"atanh","levels":[8]},"preprocessing":{"orientation":"ignore","resize":"none","crop":"none","pad":"none","alpha":"drop","truncation":"refuse","range":"x/127.5-1"}}"#,
      "has a part '..'"
    ),
  ])
  func `a description with a fault is refused by the field`(json: String, word: String) throws {
    let path = NSTemporaryDirectory() + "/tokenizer-\(UUID().uuidString).json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Data(json.utf8).write(to: URL(filePath: path))
    let error = #expect(throws: TesseraError.self) { try ImageTokenizer(opening: path) }
    #expect(error?.description.contains(word) == true)
  }
}
