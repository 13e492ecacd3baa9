import Fixtures
import Foundation
import Tessera
import Testing

/// The programs of the documentation: the text there is the text that is compiled, and they run.
@Suite struct ExampleTests {
  /// The code blocks of the article.
  static func blocks() throws -> [String] {
    let article = "\(Fixtures.root)/Sources/Tessera/Tessera.docc/Tessera.md"
    let parts = try String(contentsOfFile: article, encoding: .utf8).components(separatedBy: "```")
    return parts.filter { $0.hasPrefix("swift\n") }.map { String($0.dropFirst("swift\n".count)) }
  }

  @Test func `the article shows the programs that are compiled, of ten lines at most`() throws {
    let folder = "\(Fixtures.root)/Tests/TesseraTests/Examples"
    let files = try FileManager.default.contentsOfDirectory(atPath: folder)
    let programs = try files.map { try String(contentsOfFile: "\(folder)/\($0)", encoding: .utf8) }
    let blocks = try Self.blocks()
    #expect(Set(blocks) == Set(programs) && blocks.count == 3)
    for block in blocks { #expect(block.split(separator: "\n").count <= 10) }
  }

  @Test func `a folder of photographs becomes a dataset, and again the same one`() async throws {
    let folder = try TemporaryFolder()
    try await makeDataset(of: Fixtures.path("photos"), in: "\(folder.path)/dataset")
    let first = folder.bytes(of: "dataset/dataset.json")
    try await makeDataset(of: Fixtures.path("photos"), in: "\(folder.path)/dataset")
    #expect(first != nil && first == folder.bytes(of: "dataset/dataset.json"))
    let dataset = try TokenDataset(path: "\(folder.path)/dataset").manifest
    #expect(dataset.settings.format == "parquet" && dataset.settings.positions == "mrope")
    #expect(dataset.samples > 5 && dataset.tokens == dataset.samples * 1024)
  }

  @Test func `the library writes the dataset that the program writes`() async throws {
    let folder = try TemporaryFolder()
    try await tokenize(Fixtures.path("photos"), into: "\(folder.path)/library")
    try Self.run(["tokenize", Fixtures.path("photos"), "-o", "\(folder.path)/program", "--quiet"])
    for name in ["dataset.json", "rejected.jsonl", "shards/00000.tar"] {
      let bytes = try #require(folder.bytes(of: "library/\(name)"))
      #expect(bytes == folder.bytes(of: "program/\(name)"))
    }
  }

  @Test func `a picture becomes codes and a picture again`() throws {
    let folder = try TemporaryFolder()
    let codes = try roundTrip(of: Fixtures.path("photos/coffee.png"), to: "\(folder.path)/out.png")
    #expect(codes.count == 1024 && Set(codes).count > 10)
    let png = try #require(folder.bytes(of: "out.png"))
    #expect(png.starts(with: [0x89, 0x50, 0x4E, 0x47]))
    // Width and height, big-endian.
    #expect(Array(png[16..<24]) == [0, 0, 1, 0, 0, 0, 1, 0])
  }

  @Test func `a checkpoint becomes another, as the program makes it`() async throws {
    let folder = try TemporaryFolder()
    let source = Fixtures.path("weights/fer-emotion.hdf5")
    try await convertToTorch(source, to: "\(folder.path)/library.safetensors")
    let program = "\(folder.path)/program.safetensors"
    try Self.run(
      ["convert", source, "-o", program, "--to", "torch", "--dtype", "bf16"]
        + ["--keep-f32", "*bias*", "--quiet"]
    )
    let bytes = try #require(folder.bytes(of: "library.safetensors"))
    #expect(bytes == folder.bytes(of: "program.safetensors"))
  }

  @Test func `a target that is none, and an ending without a format, are refused by name`() async {
    let source = Fixtures.path("weights/fer-emotion.hdf5")
    for (output, target) in [("out.safetensors", "tourch"), ("out.weights", nil)] {
      let request = ConversionRequest(to: target.map { ConversionTarget($0) })
      let error = await #expect(throws: (any Error).self) {
        try await convert(source, to: output, as: request)
      }
      #expect("\(error.map(String.init(describing:)) ?? "")".contains(target ?? output))
    }
  }

  private static func run(_ arguments: [String]) throws {
    let process = try Process.run(URL(filePath: Fixtures.program), arguments: arguments)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }
}
