import TesseraCore

/// The samples of a folder of `.npy` files.
struct NPYFolderRows: DatasetRows {
  let table: DatasetTable
  private let folder: String
  private let stored: DatasetTable
  private let layout: FlatLayout

  init(_ dataset: TokenDataset, _ record: DatasetLayout) throws {
    table = record.table
    stored = record.storedTable
    folder = dataset.path
    guard let layout = FlatLayout(npy: table) else {
      throw TesseraError.malformed("its table has no tokens", file: dataset.path)
    }
    self.layout = layout
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    var lines = try SampleLines(folder: folder, layout: layout, table: table)
    while let next = try lines.next() {
      var row = next.row
      for (index, column) in stored.columns.enumerated() where !layout.described.contains(index) {
        let name = "data/\(row.key).\(WebDatasetRows.member(of: column))"
        let path = try TokenDataset.file(name, in: folder)
        let bytes = try FileDigest.bytes(of: path, maximumBytes: 1 << 30)
        guard column.type.elementType != nil else {
          row.cells[index] = DatasetCell(shape: [], bytes: bytes)
          continue
        }
        let tensor = try NPYFile.decode(bytes, from: path)
        row.cells[index] = DatasetCell(tensor)
        guard column.type == .array(tensor.elementType), column.fits(row.cells[index]) else {
          throw TesseraError.malformed(
            "\(tensor.elementType.rawValue) \(tensor.shape) is not the column's",
            file: path
          )
        }
      }
      try body(row)
    }
  }
}

extension FlatLayout {
  /// Divides a table for a folder where every array that is no metadata is a file of its own.
  package init?(npy table: DatasetTable) {
    guard let token = table.tokenColumn else { return nil }
    self.init(
      token: token,
      described: table.columns.indices.filter { table.columns[$0].isMetadata },
      table
    )
  }
}
