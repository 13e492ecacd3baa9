import TesseraCore

/// How the files of a dataset hold its samples: with it they are read back.
public struct DatasetLayout: Codable, Hashable, Sendable {
  /// The columns as they were before the layout changed names and types.
  package let table: DatasetTable
  /// The names in the files of those columns that have another one there.
  public let renamed: [String: String]
  /// Columns of the source that have no place in this layout, or were not asked for.
  public let omitted: [String]
  /// Files that hold no samples of their own: indices, columns beside the tokens.
  public let files: [DatasetFile]

  /// Creates a record.
  package init(
    table: DatasetTable,
    renamed: [String: String],
    omitted: [String],
    files: [DatasetFile]
  ) {
    (self.table, self.renamed, self.omitted, self.files) = (table, renamed, omitted, files)
  }

  /// The name of a column in the files.
  public func storedName(of column: String) -> String { renamed[column] ?? column }

  /// The names in the files of some columns, by their indices.
  func storedNames(of indices: [Int]) -> [Int: String] {
    let names = indices.map { ($0, storedName(of: table.columns[$0].name)) }
    return Dictionary(names) { first, _ in first }
  }

  /// The table under the names that the files have.
  var storedTable: DatasetTable {
    var stored = table
    for index in stored.columns.indices {
      stored.columns[index].name = storedName(of: stored.columns[index].name)
    }
    return stored
  }

  /// What is wrong with it: names are unique and can be those of files, numbers are in range.
  var fault: String? {
    for column in table.columns {
      for name in [column.name, storedName(of: column.name)] {
        if let fault = SafePath.fault(of: name) { return "table: the column '\(name)' \(fault)" }
      }
      // It stands in a line of JSON.
      if column.isMetadata, let type = column.type.elementType, !JSONBytes.holds(type) {
        return "table: the column '\(column.name)' is metadata of a type without a form in JSON"
      }
      let extents = column.shape.compactMap(\.self)
      guard column.shape.count <= 8, extents.allSatisfy({ (0...1 << 32).contains($0) }) else {
        return "table: the column '\(column.name)' has an impossible shape"
      }
    }
    for names in [table.columns.map(\.name), table.columns.map { storedName(of: $0.name) }]
    where Set(names).count < names.count {
      return "table: two columns have one name"
    }
    return (1...1 << 53).contains(table.vocabularySize)
      ? nil : "table.vocabulary_size: \(table.vocabularySize) is out of range, 1 to 2^53"
  }
}

/// What a user may choose about the layout of a dataset, beside its name.
public struct DatasetExportSettings: Codable, Hashable, Sendable {
  /// The most samples of one file.
  public var shardSamples = 1000
  /// The most bytes of one file, in layouts that cut by size.
  public var shardBytes = 1 << 26
  /// The columns that are wanted, in any order; nil for all.
  public var columns: [String]?
  /// New names of columns.
  public var renames: [String: String] = [:]
  /// The layout's own variant, such as litdata's `tokens`; nil for the usual one.
  public var variant: String?
  /// The level of zstd in layouts that compress; nil for none.
  public var compression: Int?
  /// The seed of the order of the samples; nil keeps that of the source.
  public var shuffle: UInt64?
  /// How samples become sequences; nil where they stay as they are.
  public var sequence: SequenceSettings?

  enum CodingKeys: String, CodingKey {
    case columns, renames, variant, compression, shuffle, sequence
    case shardSamples = "shard_samples"
    case shardBytes = "shard_bytes"
  }

  /// What is usual, whatever the layout.
  public init() {}
}

extension DatasetExportSettings {
  /// What is usual in a layout.
  public init(usualFor format: DatasetFormat) {
    self.init()
    compression = format.usualCompression
  }
}
