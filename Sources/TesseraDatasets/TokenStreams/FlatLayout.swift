import TesseraCore

/// How a table divides where a layout stores nothing but streams of numbers, one per token: the tokens,
/// columns aligned with them, and a line of JSON a sample for the rest.
package struct FlatLayout: Sendable {
  /// The list of samples beside the streams.
  package static let samplesFile = "samples.jsonl"
  /// The most tokens of a sample that are believed: their bytes and pointers stay in range.
  private static let mostTokens = 1 << 40
  /// Columns with a number for each token.
  private static let alignedNames = [
    "labels", "loss_mask", "text_position_ids", "mm_token_type_ids", "document_ids",
  ]
  /// The field of the JSON that holds the extents of the tokens.
  private static let shapeField = "shape"

  /// The column of the tokens.
  package let token: Int
  /// The column of position ids [axes, tokens], and the number of its axes.
  package let positions: (column: Int, axes: Int)?
  /// The columns with a number for each token.
  package let aligned: [Int]
  /// The columns that stand in the JSON.
  package let described: [Int]
  /// The table of the JSON: the described columns and the extents of the tokens.
  package let samples: DatasetTable

  /// Divides the table of a dataset.
  ///
  /// - Throws: `TesseraError` with its folder where it has no tokens.
  init(of table: DatasetTable, in folder: String) throws(TesseraError) {
    guard let layout = FlatLayout(table) else {
      throw .malformed("its table has no tokens", file: folder)
    }
    self = layout
  }

  /// Divides a table; nil where it has no tokens.
  package init?(_ table: DatasetTable) {
    guard let token = table.tokenColumn, table.columns[token].type.elementType != nil else {
      return nil
    }
    self.token = token
    let position = table.positionColumn
    positions = position.flatMap { index in
      let shape = table.columns[index].shape
      guard shape.count == 2, let axes = shape[0] else { return nil }
      return (index, axes)
    }
    let streams = table.columns.indices.filter { index in
      Self.alignedNames.contains(table.columns[index].name)
        && table.columns[index].shape.count == 1
    }
    aligned = streams
    described = table.columns.indices.filter { index in
      index != token && index != position && !streams.contains(index)
        && Self.isDescribed(table.columns[index])
    }
    samples = Self.samples(described, tokens: token, table)
  }

  /// Divides a table for a layout in which every column but the described ones has files of its own.
  package init(token: Int, described: [Int], _ table: DatasetTable) {
    (self.token, self.described) = (token, described)
    positions = nil
    aligned = []
    samples = Self.samples(described, tokens: token, table)
  }

  private static func samples(
    _ described: [Int],
    tokens: Int,
    _ table: DatasetTable
  ) -> DatasetTable {
    var columns = described.map { index in
      var column = table.columns[index]
      column.isMetadata = true
      return column
    }
    columns.append(
      DatasetColumn(
        name: shapeField,
        type: .array(.int64),
        shape: [table.columns[tokens].shape.count],
        isMetadata: true
      )
    )
    return DatasetTable(columns: columns, vocabularySize: table.vocabularySize)
  }

  /// The columns that have no place in streams or JSON.
  package func omitted(of table: DatasetTable) -> [Int] {
    table.columns.indices.filter { index in
      index != token && index != positions?.column && !aligned.contains(index)
        && !described.contains(index)
    }
  }

  /// The names of a table's columns that have no place in streams or JSON.
  static func omitted(from table: DatasetTable) -> [String] {
    FlatLayout(table).map { $0.omitted(of: table).map { table.columns[$0].name } } ?? []
  }

  /// The same for streams of ids alone, beside which at most a mask of the loss has a place.
  static func omitted(from table: DatasetTable, keepsMask: Bool) -> [String] {
    guard let layout = FlatLayout(table) else { return [] }
    let aligned = layout.aligned.filter { !keepsMask || table.columns[$0].name != "loss_mask" }
    let positions = layout.positions.map { [$0.column] } ?? []
    return (layout.omitted(of: table) + positions + aligned).map { table.columns[$0].name }
  }

  /// Text, single numbers and short lists; no arrays of floats.
  private static func isDescribed(_ column: DatasetColumn) -> Bool {
    guard let type = column.type.elementType else { return true }
    guard JSONBytes.holds(type) else { return false }
    return column.isMetadata
      || (![.float32, .float64].contains(type)
        && column.shape.count <= 2 && column.name != shapeField)
  }

  /// The row of the JSON.
  package func sampleRow(of row: DatasetRow) -> DatasetRow {
    let extents = row.cells[token].shape.dimensions.map(Int64.init)
    return DatasetRow(
      key: row.key,
      cells: described.map { row.cells[$0] }
        + [DatasetCell(shape: [extents.count], elements: extents)]
    )
  }

  /// Reads a line of the JSON: the key, the described cells, and the extents of the tokens.
  func read(
    _ line: [UInt8],
    by metadata: MetadataJSON,
    columns: Int
  ) throws -> (row: DatasetRow, tokens: Shape, count: Int) {
    let empty = DatasetCell(shape: [], bytes: [])
    var cells = [DatasetCell](repeating: empty, count: samples.columns.count)
    let key = try metadata.read(line, into: &cells)
    var row = DatasetRow(key: key, cells: [DatasetCell](repeating: empty, count: columns))
    for (position, index) in described.enumerated() { row.cells[index] = cells[position] }
    let extents = cells[described.count].elements(as: Int64.self).map(Int.init)
    guard extents.allSatisfy({ $0 >= 0 }), let count = Shape(extents).elementCount,
      count <= Self.mostTokens
    else {
      throw TesseraError.malformed("no shape of tokens: \(extents)", file: key)
    }
    return (row, Shape(extents), count)
  }
}

/// The lines of a list of samples, read back.
struct SampleLines {
  private let layout: FlatLayout
  private let metadata: MetadataJSON
  private let columns: Int
  private var file: FileStream

  init(folder: String, layout: FlatLayout, table: DatasetTable) throws {
    self.layout = layout
    columns = table.columns.count
    metadata = MetadataJSON(layout.samples)
    file = try FileStream(path: TokenDataset.file(FlatLayout.samplesFile, in: folder))
  }

  /// The next sample; nil at the end.
  mutating func next() throws -> (row: DatasetRow, tokens: Shape, count: Int)? {
    let start = file.position
    guard let line = try file.line(longest: ReadLimit.sampleLine) else { return nil }
    do {
      let next = try layout.read(line, by: metadata, columns: columns)
      // Some layouts name their files by it.
      if let fault = SafePath.fault(ofKey: next.row.key) {
        throw TesseraError.malformed(
          "the key '\(next.row.key.prefix(80))' \(fault)",
          file: "\(file.name): byte \(start)"
        )
      }
      return next
    } catch let error as JSONScanner.Failure {
      throw TesseraError.malformed(error.cause, file: "\(file.name): byte \(start + error.offset)")
    }
  }
}
