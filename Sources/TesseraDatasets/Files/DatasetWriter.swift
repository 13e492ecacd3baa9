import TesseraCore

/// One layout of a dataset being written into a stage.
package protocol DatasetWriter {
  /// Appends a sample, whose cells fit the table that the writer was made for.
  mutating func append(_ row: DatasetRow) throws

  /// Writes what is left and the indices; nothing may be appended after it.
  mutating func finish() throws
}

/// What a writer makes files of: the table as its layout stores it, what the user chose, the folder.
struct DatasetOutput {
  let stored: StoredTable
  let options: DatasetExportSettings
  let stage: DatasetStage
}

/// A writer of one layout.
protocol StoredWriter: DatasetWriter {
  /// What it makes files of.
  var output: DatasetOutput { get }
}

extension StoredWriter {
  var stored: StoredTable { output.stored }
  var options: DatasetExportSettings { output.options }
  var stage: DatasetStage { output.stage }
}

/// The columns of a table as a layout stores them: names and types.
struct StoredTable {
  /// One stored column.
  struct Column {
    /// Its index in the table.
    let index: Int
    /// The column of the table.
    let column: DatasetColumn
    /// The name in the files.
    let name: String
    /// The type in the files.
    let type: ColumnType

    /// The type of the stored elements; uint8 for text.
    var elementType: ElementType { type.elementType ?? .uint8 }
    /// The bytes of a stored element.
    var width: Int { elementType.bitWidth / 8 }
  }

  /// What a layout stores of a sample as one value.
  enum Part {
    case key
    case cells(Column)
    /// The extents of a column's cells, for layouts whose values are flat.
    case extents(Column)
  }

  let format: DatasetFormat
  let table: DatasetTable
  let columns: [Column]

  /// Lays out a table.
  init(_ table: DatasetTable, format: DatasetFormat, renames: [String: String]) throws {
    (self.format, self.table) = (format, table)
    columns = table.columns.enumerated().map { index, column in
      let type: ColumnType =
        switch column.type {
        case .array(let type): .array(format.storedType(of: type))
        case .text, .json: column.type
        }
      let name = renames[column.name] ?? column.name
      return Column(index: index, column: column, name: name, type: type)
    }
  }

  /// The columns that go by tokens.
  ///
  /// - Throws: `TesseraError` where there are none.
  func flatLayout() throws(TesseraError) -> FlatLayout {
    guard let layout = FlatLayout(table) else {
      throw refusal("the dataset has no tokens; name their column with --columns")
    }
    return layout
  }

  /// The bytes of a cell in the stored type.
  ///
  /// - Throws: `TesseraError` for a number that the type cannot hold.
  func bytes(of row: DatasetRow, _ column: Column) throws(TesseraError) -> [UInt8] {
    let cell = row.cells[column.index]
    guard let source = column.column.type.elementType, let target = column.type.elementType else {
      return cell.bytes
    }
    return try convert(cell.bytes, source, target, row.key, column.name)
  }

  /// Changes the type of numbers of a sample.
  func convert(
    _ bytes: [UInt8],
    _ source: ElementType,
    _ target: ElementType,
    _ key: String,
    _ column: String
  ) throws(TesseraError) -> [UInt8] {
    do {
      return try ElementConversion.convert(bytes, from: source, to: target)
    } catch {
      throw TesseraError.limit(
        "\(error.value) does not fit the \(target.rawValue) that this layout stores",
        place: "\(format.rawValue): \("\(key): \(column)")"
      )
    }
  }

  /// Refuses the first column of numbers that the layout has no type for.
  func check(_ holds: (ElementType) -> Bool) throws(TesseraError) {
    for column in columns {
      guard let type = column.type.elementType, !holds(type) else { continue }
      throw refusal("no type for \(type.rawValue) ('\(column.name)'); leave it out by --columns")
    }
  }

  /// An error about the whole dataset.
  func refusal(_ reason: String) -> TesseraError {
    TesseraError.mismatch(reason, place: format.rawValue)
  }

  /// The number of tokens of a sample.
  func tokens(of row: DatasetRow) -> Int {
    table.tokenColumn.flatMap { row.cells[$0].shape.elementCount } ?? 0
  }
}
