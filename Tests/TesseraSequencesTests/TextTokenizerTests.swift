import Fixtures
import Foundation
import TesseraCore
import TesseraSequences
import Testing

@Suite struct TextTokenizerTests {
  /// Opens a tokenizer of JSON text.
  func open(_ json: String) throws -> TextTokenizer {
    let path = NSTemporaryDirectory() + "/tessera-\(UUID().uuidString).json"
    try Data(json.utf8).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try TextTokenizer(opening: path)
  }

  static let pairs = """
    {"added_tokens": [{"id": 9, "content": "<end>", "special": true, "normalized": false}],
     "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
     "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "\\u0120": 2, "ab": 3, "\\u0120ab": 4,
       "<": 5, "e": 6, "n": 7, ">": 8, "<end>": 9, "d": 10}, "merges": ["a b", "\\u0120 ab"]}}
    """

  @Test func `pairs are merged by rank`() throws {
    let tokenizer = try open(Self.pairs)
    var encoder = tokenizer.makeEncoder()
    #expect(try encoder.encode("ab ab a") == [3, 4, 2, 0])
    #expect(tokenizer.id(of: "<end>") == 9 && tokenizer.id(of: "none") == nil)
    #expect(tokenizer.vocabularySize == 11)
  }

  @Test func `a control token in a text is text`() throws {
    var encoder = try open(Self.pairs).makeEncoder()
    #expect(try encoder.encode("<end>") == [5, 6, 7, 10, 8])
  }

  @Test func `numbered tokens are found by their names`() throws {
    let tokenizer = try open(
      #"{"model": {"type": "BPE", "vocab": {"IMGIMGBAZ": 0, "IMGIMGCZ": 1, "x": 2}, "merges": []}}"#
    )
    #expect(
      tokenizer.numberedTokens(prefix: "IMGIMG", suffix: "Z", letters: true) == [10: 0, 2: 1]
    )
  }

  /// Golden ids of `tokenizers` 0.23.3.
  @Test func `the anchors of a pattern are those of lines`() throws {
    let golden: [String: [[Int32]]] = [
      "^a": [[0, 0, 1, 0, 0], [0, 2, 1, 0, 2]],
      "a$": [[0, 0, 1, 0, 0], [2, 0, 1, 2, 0]],
    ]
    for (pattern, expected) in golden {
      var encoder = try open(
        """
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\(pattern)"}, "behavior": "Isolated"},
         "model": {"type": "BPE", "vocab": {"a": 0, "\\n": 1, "aa": 2}, "merges": ["a a"]}}
        """
      ).makeEncoder()
      #expect(try encoder.encode("aa\naa") == expected[0])
      #expect(try encoder.encode("aaa\naaa") == expected[1])
    }
  }

  @Test func `what is not supported is named`() {
    let error = #expect(throws: TesseraError.self) {
      try open(#"{"normalizer": {"type": "Magic"}, "model": {"vocab": {"a": 0}, "merges": []}}"#)
    }
    #expect(error?.description.contains("'Magic'") == true)
    #expect(error?.kind == .mismatch)
  }
}
