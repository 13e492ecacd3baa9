import TesseraCore

/// `export --json`.
package struct ExportSummary: Encodable {
  let format: String
  let samples, tokens, rejected: Int
  let columns, omitted: [String]
  let shards, bytes: Int
  let seconds: Double

  package init(_ manifest: DatasetManifest, seconds: Double) {
    format = manifest.settings.format
    samples = manifest.samples
    tokens = manifest.tokens
    rejected = manifest.rejected
    columns = manifest.columns
    omitted = manifest.layout?.omitted ?? []
    shards = manifest.shards.count
    bytes =
      manifest.shards.reduce(0) { $0 + $1.bytes }
      + (manifest.layout?.files.reduce(0) { $0 + $1.bytes } ?? 0)
    self.seconds = seconds
  }

  package var text: String {
    "\(samples) samples, \(tokens) tokens in \(shards) \(shards == 1 ? "file" : "files"), "
      + "\((Double(bytes) / 1e6).rounded(places: 1)) MB"
  }
}
