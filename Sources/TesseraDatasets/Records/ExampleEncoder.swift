import TesseraCore

/// Samples as `tf.train.Example`, names sorted so that equal samples give equal bytes.
///
/// Integers are int64 lists, floats float lists, text and key bytes lists. An array of more than one
/// axis has its extents in `<name>_shape` beside it.
struct ExampleEncoder {
  private let stored: StoredTable
  /// The lists in the order of their names.
  private let lists: [List]

  /// One list of the map.
  private struct List {
    let name: String
    let source: StoredTable.Part
  }

  init(_ stored: StoredTable) throws {
    self.stored = stored
    var lists = [List(name: "key", source: .key)]
    for column in stored.columns {
      lists.append(List(name: column.name, source: .cells(column)))
      if ExampleMessage.hasShape(column.column) {
        lists.append(
          List(name: ExampleMessage.shapeName(of: column.name), source: .extents(column))
        )
      }
    }
    guard Set(lists.map(\.name)).count == lists.count else {
      throw stored.refusal("a column is named as the extents of another; use --rename")
    }
    self.lists = lists.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  /// The message of a sample.
  func message(of row: DatasetRow) throws -> [UInt8] {
    var map: [UInt8] = []
    for list in lists {
      let feature = try feature(of: row, list.source)
      let name = Array(list.name.utf8)
      let size =
        2 + name.count.varintSize - 1 + name.count + 1 + feature.count.varintSize
        + feature.count
      map.append(0x0A)
      map.appendVarint(UInt64(size))
      map.append(0x0A)
      map.appendVarint(UInt64(name.count))
      map += name
      map.append(0x12)
      map.appendVarint(UInt64(feature.count))
      map += feature
    }
    var message: [UInt8] = [0x0A]
    message.reserveCapacity(map.count + 12)
    message.appendVarint(UInt64(map.count))
    message += map
    return message
  }

  private func feature(of row: DatasetRow, _ source: StoredTable.Part) throws -> [UInt8] {
    switch source {
    case .key: return Self.wrapped(Array(row.key.utf8), number: 1)
    case .extents(let column):
      let extents = row.cells[column.index].shape.dimensions.map(Int64.init)
      return Self.wrapped(Varint.bytes(of: extents), number: 3)
    case .cells(let column):
      let bytes = try stored.bytes(of: row, column)
      switch column.type.elementType {
      case nil: return Self.wrapped(bytes, number: 1)
      case .float32?: return Self.wrapped(bytes, number: 2)
      default:
        let cell = DatasetCell(shape: [], bytes: bytes)
        return Self.wrapped(Varint.bytes(of: cell.elements(as: Int64.self)), number: 3)
      }
    }
  }

  /// A feature of one list of one field.
  private static func wrapped(_ bytes: [UInt8], number: UInt8) -> [UInt8] {
    var feature: [UInt8] = [number << 3 | 2]
    feature.reserveCapacity(bytes.count + 16)
    feature.appendVarint(UInt64(1 + bytes.count.varintSize + bytes.count))
    feature.append(0x0A)
    feature.appendVarint(UInt64(bytes.count))
    return feature + bytes
  }
}
