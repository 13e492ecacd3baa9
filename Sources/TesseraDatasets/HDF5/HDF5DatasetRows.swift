import TesseraCore

/// The samples of a dataset in HDF5.
struct HDF5DatasetRows: DatasetRows {
  let table: DatasetTable
  private let path: String
  private let names: [String]
  private let samples: Int

  init(_ dataset: TokenDataset, _ record: DatasetLayout) throws {
    table = record.table
    path = try dataset.file(HDF5RowLayout.file)
    names = table.columns.map { record.storedName(of: $0.name) }
    samples = dataset.manifest.samples
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    let file = try HDF5RowReader(path: path)
    for start in stride(from: 0, to: samples, by: HDF5RowLayout.batch) {
      let count = min(HDF5RowLayout.batch, samples - start)
      let keys = try file.rows(HDF5RowLayout.key, .text, from: start, count: count)
      var rows = keys.map { DatasetRow(key: String(decoding: $0, as: UTF8.self), cells: []) }
      for (column, name) in zip(table.columns, names) {
        let kind = HDF5RowLayout.kind(of: column)
        let cells = try file.rows(name, kind, from: start, count: count)
        let shapes = try HDF5RowLayout.shapeName(of: column, named: name).map { shape in
          let kind = HDF5RowKind.fixed(.int64, [column.shape.count])
          return try file.rows(shape, kind, from: start, count: count)
        }
        for index in rows.indices {
          let place = "\(path): \(name): row \(start + index)"
          rows[index].cells.append(
            try Self.cell(cells[index], shapes?[index], column, place: place)
          )
        }
      }
      for row in rows { try body(row) }
    }
  }

  private static func cell(
    _ bytes: [UInt8],
    _ extents: [UInt8]?,
    _ column: DatasetColumn,
    place: String
  ) throws -> DatasetCell {
    guard let type = column.type.elementType else { return DatasetCell(shape: [], bytes: bytes) }
    let stored = DatasetFormat.hdf5.storedType(of: type)
    var shape = Shape(column.shape.compactMap(\.self))
    if let extents {
      let numbers = DatasetCell(shape: [], bytes: extents).elements(as: Int64.self)
      guard numbers.allSatisfy({ (0...1 << 40).contains($0) }) else {
        throw TesseraError.malformed("no extents: \(numbers)", file: place)
      }
      shape = Shape(numbers.map { Int($0) })
    } else if !column.isFixed {
      shape = [bytes.count / (stored.bitWidth / 8)]
    }
    let values = try bytes.converted(from: stored, to: column, place: place)
    return try column.cell(values, shape: shape, place: place)
  }
}
