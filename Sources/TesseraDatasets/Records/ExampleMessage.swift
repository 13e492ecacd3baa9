import TesseraCore

/// `tf.train.Example`, the message in the records of TFRecord and ArrayRecord: a map of names to lists
/// of bytes, floats or integers.
package enum ExampleMessage {
  /// The name of the list that holds the extents of a column.
  package static func shapeName(of column: String) -> String { column + "_shape" }

  /// Whether the extents of a column stand in a list of their own.
  package static func hasShape(_ column: DatasetColumn) -> Bool { column.shape.count > 1 }

  /// What a list holds.
  enum List {
    case bytes([UInt8])
    case floats([UInt8])
    case integers([Int64])
  }

  /// The lists of a message by name.
  static func lists(of message: [UInt8], place: String) throws -> [String: List] {
    var lists: [String: List] = [:]
    var outer = ProtobufFields(message[...], place: place)
    while let field = try outer.next() {
      guard field.number == 1 else { continue }
      var entries = ProtobufFields(field.bytes, place: place)
      while let entry = try entries.next() {
        guard entry.number == 1 else { continue }
        var parts = ProtobufFields(entry.bytes, place: place)
        var name = ""
        var feature: ArraySlice<UInt8> = []
        while let part = try parts.next() {
          if part.number == 1 { name = String(decoding: part.bytes, as: UTF8.self) }
          if part.number == 2 { feature = part.bytes }
        }
        lists[name] = try list(of: feature, place: place)
      }
    }
    return lists
  }

  private static func list(of feature: ArraySlice<UInt8>, place: String) throws -> List {
    var kinds = ProtobufFields(feature, place: place)
    guard let kind = try kinds.next() else { return .integers([]) }
    var values = ProtobufFields(kind.bytes, place: place)
    let value = try values.next()
    switch kind.number {
    case 1: return .bytes(Array(value?.bytes ?? []))
    case 2: return .floats(Array(value?.bytes ?? []))
    case 3:
      var numbers: [Int64] = []
      var rest = ProtobufFields(value?.bytes ?? [], place: place)
      while !rest.isAtEnd { numbers.append(Int64(bitPattern: try rest.varint())) }
      return .integers(numbers)
    default: throw TesseraError.malformed("no tf.train.Example", file: place)
    }
  }
}

/// Rows out of messages: what the readers of TFRecord and ArrayRecord share.
struct ExampleRows {
  let table: DatasetTable
  private let names: [String]

  init(_ record: DatasetLayout) {
    table = record.table
    names = table.columns.map { record.storedName(of: $0.name) }
  }

  func row(of message: [UInt8], place: String) throws -> DatasetRow {
    let lists = try ExampleMessage.lists(of: message, place: place)
    guard case .bytes(let key)? = lists["key"] else {
      throw TesseraError.malformed("the message has no 'key'", file: place)
    }
    var row = DatasetRow(key: String(decoding: key, as: UTF8.self), cells: [])
    for (column, name) in zip(table.columns, names) {
      let place = "\(place): \(name)"
      let cell: DatasetCell
      switch (lists[name], column.type) {
      case (.bytes(let bytes)?, .text), (.bytes(let bytes)?, .json):
        cell = DatasetCell(shape: [], bytes: bytes)
      case (.floats(let bytes)?, .array):
        let values = try bytes.converted(from: .float32, to: column, place: place)
        cell = try Self.shaped(values, bytes.count / 4, column, name, lists, place)
      case (.integers(let numbers)?, .array):
        let bytes = DatasetCell(shape: [numbers.count], elements: numbers).bytes
        let values = try bytes.converted(from: .int64, to: column, place: place)
        cell = try Self.shaped(values, numbers.count, column, name, lists, place)
      default: throw TesseraError.malformed("the message has no such list", file: place)
      }
      row.cells.append(cell)
    }
    return row
  }

  private static func shaped(
    _ bytes: [UInt8],
    _ count: Int,
    _ column: DatasetColumn,
    _ name: String,
    _ lists: [String: ExampleMessage.List],
    _ place: String
  ) throws -> DatasetCell {
    var shape: Shape = column.shape.isEmpty ? [] : [count]
    if ExampleMessage.hasShape(column) {
      guard case .integers(let extents)? = lists[ExampleMessage.shapeName(of: name)],
        extents.allSatisfy({ (0...1 << 40).contains($0) })
      else { throw TesseraError.malformed("the message has no extents", file: place) }
      shape = Shape(extents.map { Int($0) })
    }
    return try column.cell(bytes, shape: shape, place: place)
  }
}
