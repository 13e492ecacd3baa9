import Tensors

/// The samples of a dataset of JSON lines.
struct JSONLinesRows: DatasetRows {
  let table: DatasetTable
  private let metadata: MetadataJSON
  private let files: [String]

  /// The longest line that is read.
  private static let longestLine = 1 << 28

  init(_ dataset: TokenDataset, _ record: DatasetLayout) {
    table = record.table
    metadata = MetadataJSON(record.storedTable.asMetadata, hasOwnNames: true)
    files = dataset.manifest.shards.map { "\(dataset.path)/\($0.name)" }
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    let empty = DatasetCell(shape: [], bytes: [])
    for path in files {
      var file = try FileStream(path: path)
      while true {
        let start = file.position
        guard let line = try file.line(longest: Self.longestLine) else { break }
        var cells = [DatasetCell](repeating: empty, count: table.columns.count)
        do {
          let key = try metadata.read(line, into: &cells)
          try body(DatasetRow(key: key, cells: cells))
        } catch let error as JSONScanner.Failure {
          throw DatasetError(place: "\(path): byte \(start + error.offset)", reason: error.cause)
        }
      }
    }
  }
}

extension DatasetTable {
  /// The same columns, all of them part of a sample's JSON.
  package var asMetadata: DatasetTable {
    var table = self
    for index in table.columns.indices { table.columns[index].isMetadata = true }
    return table
  }
}
