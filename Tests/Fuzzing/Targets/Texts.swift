internal import Foundation
import TesseraCheckpoints
import TesseraRules
import TesseraSequences

extension FuzzTarget {
  /// Text tokenizers and recipes.
  static let texts: [FuzzTarget] = [
    FuzzTarget(name: "tokenizer-json", form: .file("tokenizer.json"), read: tokenize),
    FuzzTarget(name: "sentencepiece", form: .file("input.model"), read: tokenize),
    FuzzTarget(name: "recipe", form: .file("recipe.json"), read: applyRecipe),
  ]

  /// Texts with what tokenizers treat apart: case, digits, accents, scripts, spaces, controls.
  private static let samples = [
    "", "Hello, world! It's 1234.5 - a b  c\n\td", "Å e\u{301} ﬁ ½ ǅ İstanbul ß",
    "日本語テキスト 한국어 العربية हिन्दी", "👩‍👩‍👧 <s></s> [UNK]<|endoftext|>\u{0}\u{200B}\u{FFFD}",
    String(repeating: "ab ", count: 40), String(repeating: "a", count: 100),
  ]

  @Sendable
  private static func tokenize(_ path: String) throws {
    let tokenizer = try TextTokenizer(opening: path)
    _ = tokenizer.id(of: "<s>")
    _ = tokenizer.numberedTokens(prefix: "<", suffix: ">", letters: false)
    var encoder = tokenizer.makeEncoder()
    for text in samples {
      for id in try encoder.encode(text) {
        precondition(id >= 0 && Int(id) < tokenizer.vocabularySize, "an id is below the size")
      }
    }
  }

  @Sendable
  private static func applyRecipe(_ path: String) throws {
    let bytes = try Data(contentsOf: URL(filePath: path))
    let recipe = try Recipe(parsing: String(decoding: bytes, as: UTF8.self), file: path)
    let inverse = try recipe.inverted()
    // Examples of more rules take longer than a run may.
    guard recipe.ruleCount <= 12 else { return }
    var generator = SteadyNumbers()
    for recipe in [recipe, inverse] {
      guard let (tensors, sizes) = recipe.example(using: &generator, draws: 20) else { continue }
      let names = Set(recipe.sizes.map(\.name))
      let settings = sizes.filter { names.contains($0.key) }
      _ = try ConversionPlan([recipe], of: ZeroCheckpoint(tensors: tensors), settings: settings)
    }
  }
}

/// Numbers that repeat from run to run.
private struct SteadyNumbers: RandomNumberGenerator {
  private var state: UInt64 = 1

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 33
  }
}

/// A checkpoint whose elements are all zero.
private struct ZeroCheckpoint: CheckpointReader {
  let format = "zeros"
  let tensors: [TensorInfo]
  let attributes: [String: String] = [:]
  let notes: [String] = []

  func read(
    _ elements: Range<Int>,
    of tensor: TensorInfo,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
  }
}
