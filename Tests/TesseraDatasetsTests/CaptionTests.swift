import Fixtures
import Foundation
import TesseraCore
import TesseraDatasets
import TesseraImages
import Testing

@Suite struct CaptionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The captions of images a.png, b.png and sub/c.jpg under a list.
  private func captions(_ name: String, _ text: String) throws -> [String] {
    let path = try folder.write(Array(text.utf8), to: name)
    return try captions(CaptionSource(manifest: path))
  }

  private func captions(_ source: CaptionSource) throws -> [String] {
    let inputs = ["a.png", "b.png", "sub/c.jpg"].map { name in
      ImageInput(
        key: name.replacing(".png", with: "").replacing(".jpg", with: ""),
        source: name,
        location: .file(root: folder.path)
      )
    }
    let lookup = try source.captions(of: inputs)
    return try inputs.enumerated().map { try lookup.caption(of: $1, at: $0) ?? "" }
  }

  @Test func `lists of every kind say the same`() throws {
    let wanted = ["a \"quoted\", text", "two\nlines", ""]
    #expect(
      try captions(
        "a.csv",
        "\u{FEFF}file_name,caption\r\na.png,\"a \"\"quoted\"\", text\"\r\n./b.png,\"two\nlines\"\r\n"
      ) == wanted
    )
    #expect(
      try captions(
        "a.tsv",
        "id\tIMAGE\tText\n1\ta.png\t\"a \"\"quoted\"\", text\"\n2\tb\t\"two\nlines\"\n"
      ) == wanted
    )
    #expect(
      try captions(
        "a.jsonl",
        #"{"image": "a.png", "prompt": "a \"quoted\", text"}"# + "\n\n"
          + #"{"key": "b", "text": "two\nlines"}"# + "\n"
      ) == wanted
    )
  }

  @Test func `sidecars are texts or JSON, and an image may have none`() throws {
    _ = try folder.write(Array("from text\n".utf8), to: "a.txt")
    _ = try folder.write(Array(#"{"caption": "from JSON", "text": "no"}"#.utf8), to: "b.json")
    #expect(try captions(.sidecar) == ["from text", "from JSON", ""])
    _ = try folder.write([0xFF, 0xFE], to: "a.txt")
    let error = #expect(throws: TesseraError.self) { try captions(.sidecar) }
    #expect(error?.cause.contains("UTF-8") == true)
  }

  @Test(arguments: [
    ("a.csv", "x,y\n1,2\n", "columns"), ("a.csv", "image,caption\na.png,\"x\n", "quoted"),
    ("a.csv", "image,caption\na.png\n", "line 2: 1 fields"),
    ("a.csv", "image,caption\na,1\na,2\n", "line 3: 'a' has a caption already"),
    ("a.csv", "image,caption\n", "no caption"),
    ("a.csv", "image,caption\nc.png,1\n", "not one of 1 lines"),
    ("a.jsonl", "{}\n", "line 1: no image"),
    ("a.jsonl", "[1]\n", "line 1: not a JSON object"), ("a.xls", "", ".csv"),
    ("a.parquet", "PAR1", "Parquet"), ("a.parquet", "PAR1????????????PAR1", "Parquet"),
  ])
  func `a list that is none is refused in a line`(
    _ name: String,
    _ text: String,
    _ part: String
  ) throws {
    let error = #expect(throws: TesseraError.self) { try captions(name, text) }
    #expect(error?.description.contains(part) == true)
    #expect(error?.description.contains("\n") == false)
  }

  @Test func `a caption of more than a mebibyte is refused`() throws {
    let long = String(repeating: "x", count: (1 << 20) + 1)
    #expect(throws: TesseraError.self) { try captions("a.csv", "image,caption\na.png,\(long)\n") }
  }
}
