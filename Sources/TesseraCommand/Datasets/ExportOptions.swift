import ArgumentParser
import TesseraDatasets

/// What `tokenize` and `export` have in common about the layout of the files.
struct ExportOptions: ParsableArguments {
  @Option(
    name: .customLong("columns"),
    help: "The columns to keep beside the key, such as codes,positions. (default: all)"
  )
  var columns: String?

  @Option(help: "Another name for a column in the files, such as input_ids=tokens; repeatable.")
  var rename: [String] = []

  @Option(help: "Order the samples at random by this seed.")
  var shuffle: UInt64?

  @Option(
    help: "A layout's own variant: litdata pytree|tokens."
  )
  var variant: String?

  @Option(
    help: "Compress with zstd at this level, in parquet (default: 3; 0: none) and mds (none)."
  )
  var zstd: Int?

  @Option(help: "The most bytes per file, in layouts that split by size. (default: 64 MiB)")
  var shardBytes: Int?

  func validate() throws {
    for pair in rename {
      let parts = pair.split(separator: "=", omittingEmptySubsequences: false)
      guard parts.count == 2,
        parts.allSatisfy({ !$0.isEmpty && !$0.contains(where: "./".contains) })
      else {
        throw ValidationError("--rename: '\(pair)' is not OLD=NEW, names without dots and slashes")
      }
    }
    if let zstd, !(0...19).contains(zstd) {
      throw ValidationError("--zstd: \(zstd) is not from 0 to 19")
    }
    if let shardBytes, !(1 << 16...1 << 31).contains(shardBytes) {
      throw ValidationError("--shard-bytes: not from 65536 to 2147483648")
    }
  }

  /// Whether nothing was set.
  var isDefault: Bool {
    columns == nil && rename.isEmpty && shuffle == nil && variant == nil && zstd == nil
      && shardBytes == nil
  }

  /// The settings of a layout.
  func settings(for format: DatasetFormat, shardSamples: Int) throws -> DatasetExportSettings {
    if let variant, format.entry.variants.first(where: { $0 == variant }) == nil {
      let known =
        format.entry.variants.isEmpty ? "none" : format.entry.variants.joined(separator: ", ")
      throw ValidationError("--variant: \(format.rawValue) has \(known), not '\(variant)'")
    }
    var renames: [String: String] = [:]
    for pair in rename {
      let parts = pair.split(separator: "=").map(String.init)
      guard renames.updateValue(parts[1], forKey: parts[0]) == nil else {
        throw ValidationError("--rename: '\(parts[0])' is named twice")
      }
    }
    let level = zstd ?? format.usualCompression
    if let zstd, zstd > 0, !format.compresses {
      throw ValidationError("--zstd: \(format.rawValue) files are not compressed")
    }
    var settings = DatasetExportSettings()
    settings.shardSamples = shardSamples
    settings.shardBytes = shardBytes ?? settings.shardBytes
    settings.columns = columns?.split(separator: ",").map(String.init)
    settings.renames = renames
    settings.variant = variant
    settings.compression = level.flatMap { $0 > 0 ? $0 : nil }
    settings.shuffle = shuffle
    return settings
  }
}
