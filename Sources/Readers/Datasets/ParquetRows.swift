import Tensors

/// The samples of Parquet files as Tessera writes them: one plain page a column and row group.
struct ParquetRows: DatasetRows {
  let table: DatasetTable
  private let names: [String]
  private let files: [String]

  private static let longestFooter = 1 << 26

  init(_ dataset: TokenDataset, _ record: DatasetLayout) {
    table = record.table
    names = table.columns.map { record.storedName(of: $0.name) }
    files = dataset.manifest.shards.map { "\(dataset.path)/\($0.name)" }
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    for path in files {
      let file = try FileRegion(path: path)
      for group in try Self.footer(of: file)[4]?.list ?? [] {
        try forEach(of: group, in: file, body)
      }
    }
  }

  private static func footer(of file: FileRegion) throws -> ThriftValue {
    func damage(_ reason: String) -> DatasetError { DatasetError(place: file.name, reason: reason) }
    guard file.length >= 12 else { throw damage("too short for Parquet") }
    let tail = try file.bytes(file.length - 8..<file.length)
    let size = Int(DatasetCell(shape: [], bytes: Array(tail[..<4])).elements(as: UInt32.self)[0])
    guard Array(tail[4...]) == ParquetLayout.magic, size <= min(longestFooter, file.length - 12)
    else { throw damage("no footer of Parquet's") }
    let bytes = try file.bytes(file.length - 8 - size..<file.length - 8)
    var reader = ThriftCompactReader(bytes[...], place: file.name)
    return try reader.structure()
  }

  private func forEach(
    of group: ThriftValue,
    in file: FileRegion,
    _ body: (DatasetRow) throws -> Void
  ) throws {
    var chunks: [String: ThriftValue] = [:]
    for chunk in group[1]?.list ?? [] {
      guard let metadata = chunk[3], case .binary(let name)? = metadata[3]?.list?.first else {
        throw DatasetError(place: file.name, reason: "a column without a name")
      }
      chunks[String(decoding: name, as: UTF8.self)] = metadata
    }
    func page(_ name: String, rank: Int, kind: ParquetLayout.Kind) throws -> ParquetPage {
      guard let metadata = chunks[name] else {
        throw DatasetError(place: file.name, reason: "it has no column '\(name)'")
      }
      return try ParquetPage(metadata, of: file, place: "\(file.name): \(name)", rank, kind)
    }
    guard let text = ParquetLayout.kind(of: nil) else { return }
    var keys = try page(ParquetLayout.key, rank: 0, kind: text)
    var pages: [ParquetPage] = []
    for (column, name) in zip(table.columns, names) {
      let type = column.type.elementType.map { DatasetFormat.parquet.storedType(of: $0) }
      guard let kind = ParquetLayout.kind(of: type) else {
        throw DatasetError(place: file.name, reason: "no Parquet type for '\(name)'")
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
