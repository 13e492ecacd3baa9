import TesseraCore

/// The columns that describe a sample, as one line of JSON: `<key>.json` of a tar, a line of
/// `samples.jsonl`.
///
/// The names are the columns', but for those of an image's ``SampleDescription``, whose JSON is that
/// of `schemas/sample.schema.json`.
package struct MetadataJSON: Sendable {
  /// Where one field of the JSON goes, or comes from.
  private struct Field {
    let name: String
    /// The cells: two for the width and the height, one otherwise.
    let cells: [Int]
    let type: ColumnType
    let shape: [Int?]
    /// The name in quotes and the colon.
    let head: [UInt8]

    init(name: String, cells: [Int], type: ColumnType, shape: [Int?]) {
      (self.name, self.cells, self.type, self.shape) = (name, cells, type, shape)
      var head: [UInt8] = []
      JSONBytes.appendQuoted(Array(name.utf8), to: &head)
      self.head = head + [UInt8(ascii: ":")]
    }
  }

  /// The columns of an image's description; the key is none of them.
  package static let description: [DatasetColumn] = [
    DatasetColumn(name: "source", type: .text, isMetadata: true),
    DatasetColumn(name: "sha256", type: .text, isMetadata: true),
    DatasetColumn(name: "orig_width", type: .array(.int32), isMetadata: true),
    DatasetColumn(name: "orig_height", type: .array(.int32), isMetadata: true),
    DatasetColumn(name: "exif_orientation", type: .array(.int32), isMetadata: true),
    DatasetColumn(name: "resized", type: .array(.int32), shape: [2], isMetadata: true),
    DatasetColumn(name: "crop", type: .array(.int32), shape: [4], isMetadata: true),
    DatasetColumn(name: "grid", type: .array(.int32), shape: [2], isMetadata: true),
  ]

  /// The fields of the JSON for columns of another name.
  private static let sizeField = "size"
  private static let orientationField = "orientation"

  private let fields: [Field]
  private let indices: [String: Int]
  private let columns: [DatasetColumn]
  /// The field after which the key stands, the names being sorted.
  private let keyPosition: Int

  /// Prepares for the columns of a table.
  ///
  /// - Parameters:
  ///   - table: The columns; those that are metadata stand in the JSON.
  ///   - hasOwnNames: Whether the fields of an image's description keep the columns' names.
  package init(_ table: DatasetTable, hasOwnNames: Bool = false) {
    columns = table.columns
    var fields: [Field] = []
    let size = (hasOwnNames ? [] : ["orig_width", "orig_height"]).compactMap { name in
      table.columns.firstIndex { $0.name == name && $0.isMetadata }
    }
    for (index, column) in table.columns.enumerated() where column.isMetadata {
      if size.count == 2, size.contains(index) { continue }
      let isOrientation = column.name == "exif_orientation" && !hasOwnNames
      let name = isOrientation ? Self.orientationField : column.name
      fields.append(
        Field(name: name, cells: [index], type: column.type, shape: column.shape)
      )
    }
    if size.count == 2 {
      fields.append(Field(name: Self.sizeField, cells: size, type: .array(.int32), shape: [2]))
    }
    self.fields = fields.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    keyPosition =
      self.fields.firstIndex { !$0.name.utf8.lexicographicallyPrecedes("key".utf8) }
      ?? fields.count
    indices = Dictionary(
      self.fields.enumerated().map { ($1.name, $0) },
      uniquingKeysWith: { first, _ in first }
    )
  }

  /// Appends the line of a sample, with its line feed.
  package func append(_ row: DatasetRow, to line: inout [UInt8]) {
    line.append(UInt8(ascii: "{"))
    for position in 0...fields.count {
      if position == keyPosition {
        if position > 0 { line.append(UInt8(ascii: ",")) }
        line += "\"key\":".utf8
        JSONBytes.appendQuoted(Array(row.key.utf8), to: &line)
      }
      guard position < fields.count else { break }
      if position > 0 || keyPosition == 0 { line.append(UInt8(ascii: ",")) }
      let field = fields[position]
      line += field.head
      append(field, of: row, to: &line)
    }
    line += "}\n".utf8
  }

  private func append(_ field: Field, of row: DatasetRow, to line: inout [UInt8]) {
    let cell = row.cells[field.cells[0]]
    guard field.cells.count == 1 else {
      let pair = DatasetCell(
        shape: [field.cells.count],
        bytes: field.cells.flatMap { row.cells[$0].bytes }
      )
      return JSONBytes.append(pair, of: field.type, to: &line)
    }
    JSONBytes.append(cell, of: field.type, to: &line)
  }

  /// Reads a line into the cells of its columns.
  ///
  /// - Parameters:
  ///   - line: The JSON.
  ///   - cells: A cell a column of the table; those of the description are set.
  /// - Returns: The key.
  /// - Throws: `TesseraError` or `JSONScanner.Failure` where the fields are others.
  func read(_ line: [UInt8], into cells: inout [DatasetCell]) throws -> String {
    var key: String?
    var seen: [Int] = []
    seen.reserveCapacity(fields.count)
    try JSONScanner.read(line) { scanner in
      try scanner.object { scanner, name in
        if name == "key" {
          key = try scanner.string()
          return
        }
        guard let index = indices[name] else {
          throw scanner.failure("'\(name)' is no field of the first sample")
        }
        seen.append(index)
        try read(fields[index], of: line, from: &scanner, into: &cells)
      }
    }
    // A key occurs once in an object, so equal numbers are equal sets.
    for index in fields.indices where seen.count < fields.count && !seen.contains(index) {
      guard fields[index].type == .json else {
        throw TesseraError.malformed("lacks '\(fields[index].name)'", file: "json")
      }
      cells[fields[index].cells[0]] = DatasetCell(text: "null")
    }
    guard let key else { throw TesseraError.malformed("lacks 'key'", file: "json") }
    return key
  }

  private func read(
    _ field: Field,
    of line: [UInt8],
    from scanner: inout JSONScanner,
    into cells: inout [DatasetCell]
  ) throws {
    switch field.type {
    case .text: cells[field.cells[0]] = DatasetCell(text: try scanner.string())
    case .json:
      let start = scanner.position
      try scanner.skip()
      cells[field.cells[0]] = DatasetCell(shape: [], bytes: Array(line[start..<scanner.position]))
    case .array(let type):
      let cell = try JSONBytes.array(from: &scanner, of: type, shape: field.shape)
      guard field.cells.count > 1 else {
        cells[field.cells[0]] = cell
        return
      }
      guard cell.shape == Shape([field.cells.count]) else {
        throw scanner.failure("'\(field.name)' is no pair")
      }
      let width = cell.bytes.count / field.cells.count
      for (position, index) in field.cells.enumerated() {
        cells[index] = DatasetCell(
          shape: [],
          bytes: Array(cell.bytes[position * width..<(position + 1) * width])
        )
      }
    }
  }

  /// The columns that a line of an image's description and more has.
  static func columns(of line: [UInt8]) throws -> [DatasetColumn] {
    var names: [String] = []
    try JSONScanner.read(line) { scanner in
      try scanner.object { scanner, name in
        try scanner.skip()
        if name != "key" { names.append(name) }
      }
    }
    var columns: [DatasetColumn] = []
    let known = Set(names)
    for column in description {
      let field =
        switch column.name {
        case "orig_width", "orig_height": sizeField
        case "exif_orientation": orientationField
        default: column.name
        }
      if known.contains(field) { columns.append(column) }
      names.removeAll { $0 == field }
    }
    return columns
      + names.map { DatasetColumn(name: $0, type: .json, isMetadata: true) }
  }
}
