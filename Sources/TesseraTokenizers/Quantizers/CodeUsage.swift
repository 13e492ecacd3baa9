/// Which codes of a vocabulary occur: one bit a code.
package struct CodeUsage: Sendable {
  private var words: [UInt64]?
  private static let largestVocabulary = 1 << 27

  /// Creates an empty set of codes; beyond 2^27 codes (16 MiB of bits) nothing is counted.
  package init(vocabularySize: Int) {
    guard vocabularySize <= CodeUsage.largestVocabulary else { return }
    words = [UInt64](repeating: 0, count: (vocabularySize + 63) / 64)
  }

  /// Adds codes, each below the vocabulary's size.
  package mutating func add(_ codes: [UInt32]) {
    guard words != nil else { return }
    for code in codes { words?[Int(code / 64)] |= 1 << UInt64(code % 64) }
  }

  /// The number of different codes added; nil where nothing is counted.
  package var used: Int? { words?.reduce(0) { $0 + $1.nonzeroBitCount } }
}
