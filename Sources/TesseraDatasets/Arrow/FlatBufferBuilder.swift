/// A FlatBuffer written from start to end: a table before what it points to, for offsets only ever
/// point forward.
struct FlatBufferBuilder {
  /// What a field of a table holds; an offset is set once its target is written.
  enum Field {
    case none
    case byte(UInt8)
    case short(Int16)
    case int(Int32)
    case long(Int64)
    case offset

    fileprivate var size: Int {
      switch self {
      case .none: 0
      case .byte: 1
      case .short: 2
      case .int, .offset: 4
      case .long: 8
      }
    }
  }

  /// The bytes so far; the first four point to the root.
  private(set) var bytes: [UInt8] = [0, 0, 0, 0]

  private mutating func align(to multiple: Int, after head: Int = 0) {
    while (bytes.count + head) % multiple != 0 { bytes.append(0) }
  }

  /// Writes a table.
  ///
  /// - Returns: Where each field of the table is, for ``point(_:)``.
  mutating func table(_ fields: [Field]) -> [Int] {
    align(to: 2)
    let directory = bytes.count
    let directorySize = 4 + 2 * fields.count
    bytes += [UInt8](repeating: 0, count: directorySize)
    align(to: 8)
    let start = bytes.count
    bytes.appendLittleEndian(Int32(start - directory))
    var places = [Int](repeating: 0, count: fields.count)
    for (index, field) in fields.enumerated() where field.size > 0 {
      align(to: field.size)
      places[index] = bytes.count
      bytes.putLittleEndian(UInt16(bytes.count - start), at: directory + 4 + 2 * index)
      switch field {
      case .none: break
      case .byte(let value): bytes.append(value)
      case .short(let value): bytes.appendLittleEndian(value)
      case .int(let value): bytes.appendLittleEndian(value)
      case .long(let value): bytes.appendLittleEndian(value)
      case .offset: bytes.appendLittleEndian(UInt32(0))
      }
    }
    bytes.putLittleEndian(UInt16(directorySize), at: directory)
    bytes.putLittleEndian(UInt16(bytes.count - start), at: directory + 2)
    tableStart = start
    return places
  }

  /// Where the table written last starts.
  private(set) var tableStart = 0

  /// Lets the offset at a place point to a position.
  mutating func point(_ place: Int, to target: Int) {
    bytes.putLittleEndian(UInt32(target - place), at: place)
  }

  /// Writes a string that the offset at a place points to.
  mutating func string(_ text: String, at place: Int) {
    align(to: 4)
    point(place, to: bytes.count)
    bytes.appendLittleEndian(UInt32(text.utf8.count))
    bytes += text.utf8
    bytes.append(0)
  }

  /// Writes a list of offsets that the offset at a place points to.
  ///
  /// - Returns: Where each of them is.
  mutating func offsets(_ count: Int, at place: Int) -> [Int] {
    align(to: 4)
    point(place, to: bytes.count)
    bytes.appendLittleEndian(UInt32(count))
    let start = bytes.count
    bytes += [UInt8](repeating: 0, count: 4 * count)
    return (0..<count).map { start + 4 * $0 }
  }

  /// Writes a list of pairs of 64-bit numbers that the offset at a place points to.
  mutating func pairs(_ pairs: [(Int, Int)], at place: Int) {
    align(to: 8, after: 4)
    point(place, to: bytes.count)
    bytes.appendLittleEndian(UInt32(pairs.count))
    for (first, second) in pairs {
      bytes.appendLittleEndian(Int64(first))
      bytes.appendLittleEndian(Int64(second))
    }
  }
}
