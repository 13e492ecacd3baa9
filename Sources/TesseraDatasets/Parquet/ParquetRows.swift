import TesseraCore

/// The samples of Parquet files as Tessera writes them: one plain page a column and row group.
struct ParquetRows: DatasetRows {
  let table: DatasetTable
  private let names: [String]
  private let files: [String]

  /// What the rows of a file may take however well they are packed: samples may be all alike.
  private static let usualFile = 1 << 28

  init(_ dataset: TokenDataset, _ record: DatasetLayout) throws {
    table = record.table
    names = table.columns.map { record.storedName(of: $0.name) }
    files = try dataset.manifest.shards.map { try dataset.file($0.name) }
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    for path in files {
      let file = try FileRegion(path: path)
      let footer = try ParquetFooter(of: file)
      var allowance = ParquetAllowance(ofFileOf: file.length, atLeast: Self.usualFile)
      for group in footer.groups {
        try forEach(of: group, footer, in: file, allowance: &allowance, body)
      }
    }
  }

  private func forEach(
    of group: ThriftValue,
    _ footer: ParquetFooter,
    in file: FileRegion,
    allowance: inout ParquetAllowance,
    _ body: (DatasetRow) throws -> Void
  ) throws {
    let chunks = try footer.chunks(of: group)
    func page(_ name: String, rank: Int, kind: ParquetLayout.Kind) throws -> ParquetPage {
      guard let metadata = chunks[name] else {
        throw TesseraError.malformed("it has no column '\(name)'", file: file.name)
      }
      let place = "\(file.name): \(name)"
      let page = try ParquetPage(metadata, of: file, place: place, rank, kind)
      try allowance.take(bytes: page.byteCount, place: place)
      return page
    }
    guard let text = ParquetLayout.kind(of: nil) else { return }
    var keys = try page(ParquetLayout.key, rank: 0, kind: text)
    var pages: [ParquetPage] = []
    for (column, name) in zip(table.columns, names) {
      let type = column.type.elementType.map { DatasetFormat.parquet.storedType(of: $0) }
      guard let kind = ParquetLayout.kind(of: type) else {
        throw TesseraError.malformed("no Parquet type for '\(name)'", file: file.name)
      }
      pages.append(try page(name, rank: column.shape.count, kind: kind))
    }
    for _ in 0..<max(0, group[3]?.integer ?? 0) {
      var row = DatasetRow(key: try keys.text().text, cells: [])
      for (index, column) in table.columns.enumerated() {
        row.cells.append(
          try column.type.elementType == nil ? pages[index].text() : pages[index].array(of: column)
        )
      }
      try body(row)
    }
  }
}
