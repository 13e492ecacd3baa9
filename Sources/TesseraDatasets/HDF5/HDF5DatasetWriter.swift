import TesseraCore

/// One HDF5 file `data.h5`, a dataset a column, all as long as there are samples.
struct HDF5DatasetWriter: StoredWriter {
  let output: DatasetOutput
  private let file: HDF5RowFile
  private let path: String
  private var columns: [Column] = []
  /// The rows that are in the file, and those that wait.
  private var written = 0
  private var waiting = 0
  private var tokens = 0

  /// A dataset of the file and the rows that wait for it.
  private struct Column {
    let source: StoredTable.Part
    let index: Int
    var data: [UInt8] = []
    var sizes: [Int] = []

    mutating func append(_ bytes: [UInt8]) {
      data += bytes
      sizes.append(bytes.count)
    }
  }

  /// The most bytes that wait.
  private static let waitingBytes = 1 << 24

  init(_ output: DatasetOutput) throws {
    self.output = output
    let (stored, stage) = (output.stored, output.stage)
    path = "\(stage.folder)/\(HDF5RowLayout.file)"
    var names = [HDF5RowLayout.key]
    try stored.check(HDF5RowLayout.holds)
    for column in stored.columns {
      names.append(column.name)
      if let shape = HDF5RowLayout.shapeName(of: column.column, named: column.name) {
        names.append(shape)
      }
    }
    guard Set(names).count == names.count else {
      throw stored.refusal("a column is named as the extents of another; use --rename")
    }
    file = try HDF5RowFile(path: path)
    columns.append(Column(source: .key, index: try file.add(HDF5RowLayout.key, .text)))
    for column in stored.columns {
      let index = try file.add(column.name, HDF5RowLayout.kind(of: column.column))
      columns.append(Column(source: .cells(column), index: index))
      if let shape = HDF5RowLayout.shapeName(of: column.column, named: column.name) {
        let index = try file.add(shape, .fixed(.int64, [column.column.shape.count]))
        columns.append(Column(source: .extents(column), index: index))
      }
    }
  }

  mutating func append(_ row: DatasetRow) throws {
    var size = 0
    for index in columns.indices {
      switch columns[index].source {
      case .key: columns[index].append(try text(Array(row.key.utf8), row.key))
      case .extents(let column):
        let extents = row.cells[column.index].shape.dimensions.map(Int64.init)
        columns[index].append(DatasetCell(shape: [extents.count], elements: extents).bytes)
      case .cells(let column):
        let bytes = try stored.bytes(of: row, column)
        columns[index].append(
          try column.type.elementType == nil ? text(bytes, row.key) : bytes
        )
      }
      size += columns[index].data.count
    }
    waiting += 1
    tokens += stored.tokens(of: row)
    if waiting == HDF5RowLayout.batch || size >= Self.waitingBytes { try flush() }
  }

  /// A text as C has it.
  private func text(_ bytes: [UInt8], _ key: String) throws -> [UInt8] {
    guard !bytes.contains(0) else {
      throw TesseraError.mismatch(
        "a text with a zero byte, which HDF5 would cut off there",
        place: "\(DatasetFormat.hdf5.rawValue): \(key)"
      )
    }
    return bytes + [0]
  }

  private mutating func flush() throws {
    guard waiting > 0 else { return }
    for index in columns.indices {
      let column = columns[index]
      try file.append(column.data, sizes: column.sizes, from: written, to: column.index)
      columns[index].data.removeAll(keepingCapacity: true)
      columns[index].sizes.removeAll(keepingCapacity: true)
    }
    written += waiting
    waiting = 0
  }

  mutating func finish() throws {
    try flush()
    try file.close()
    try OutputFolder.synchronizeFile(path)
    // The library writes in places of its own choosing: the hash is that of the finished file.
    let size = try FileDigest.size(of: path)
    let finished = FinishedFile(
      name: HDF5RowLayout.file,
      bytes: size,
      sha256: try FileDigest.sha256(of: path),
      md5: nil,
      sha1: nil
    )
    stage.add(finished, samples: written, tokens: tokens)
  }
}
