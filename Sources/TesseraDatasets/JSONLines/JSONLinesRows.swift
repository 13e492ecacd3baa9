import TesseraCore

/// The samples of a dataset of JSON lines.
struct JSONLinesRows: DatasetRows {
  let table: DatasetTable
  private let metadata: MetadataJSON
  private let files: [String]

  init(_ dataset: TokenDataset, _ record: DatasetLayout) throws {
    table = record.table
    metadata = MetadataJSON(record.storedTable.asMetadata, hasOwnNames: true)
    files = try dataset.manifest.shards.map { try dataset.file($0.name) }
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    let empty = DatasetCell(shape: [], bytes: [])
    for path in files {
      var file = try FileStream(path: path)
      while true {
        let start = file.position
        guard let line = try file.line(longest: ReadLimit.sampleLine) else { break }
        var cells = [DatasetCell](repeating: empty, count: table.columns.count)
        do {
          let key = try metadata.read(line, into: &cells)
          try body(DatasetRow(key: key, cells: cells))
        } catch let error as JSONScanner.Failure {
          throw TesseraError.malformed(error.cause, file: "\(path): byte \(start + error.offset)")
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
