import TesseraCore

/// `inspect` of a dataset.
package struct DatasetInspection: Encodable {
  let format: String
  let samples, tokens, rejected: Int
  let columns: [String]
  let shards: [DatasetShard]
  let tokenizer, positions: String

  package init(_ manifest: DatasetManifest) {
    format = manifest.settings.format
    samples = manifest.samples
    tokens = manifest.tokens
    rejected = manifest.rejected
    columns = manifest.columns
    shards = manifest.shards
    tokenizer = manifest.settings.tokenizer.name
    positions = manifest.settings.positions
  }

  /// A table of shards under the totals.
  package var text: String {
    let rows = shards.map { shard in
      [shard.name, "\(shard.samples) samples", "\(shard.tokens) tokens", "\(shard.bytes) bytes"]
    }
    let lines =
      [
        "format: \(format)", "tokenizer: \(tokenizer)", "positions: \(positions)",
        "columns: \(columns.joined(separator: ", "))",
      ] + TextTable.lines(rows)
    let totals = "\(samples) samples, \(tokens) tokens, \(rejected) rejected"
    return (lines + [totals]).joined(separator: "\n").printable
  }
}
