/// The most bytes of files that are read as a whole: one table, so that all who read a file agree.
package enum ReadLimit {
  /// Manifests and indices, with one line per shard: millions of shards.
  package static let manifest = 1 << 30
  /// The description of a tokenizer or a quantizer.
  package static let description = 1 << 20
  /// One line of `rejected.jsonl` or `files.jsonl`.
  package static let shortLine = 1 << 20
  /// One line of a sample's numbers and texts.
  package static let sampleLine = 1 << 28
}
