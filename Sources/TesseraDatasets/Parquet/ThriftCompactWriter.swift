import TesseraCore

/// A struct of Thrift's compact protocol being written: Parquet's headers and footer.
struct ThriftCompactWriter {
  private(set) var bytes: [UInt8] = []
  private var lastField: Int16 = 0

  private static let i32: UInt8 = 5
  private static let i64: UInt8 = 6
  private static let binary: UInt8 = 8
  private static let list: UInt8 = 9
  private static let structure: UInt8 = 12

  private mutating func field(_ number: Int16, _ type: UInt8) {
    // Every struct written here has fields closer than 16 to each other.
    bytes.append(UInt8(number - lastField) << 4 | type)
    lastField = number
  }

  private mutating func zigzag(_ value: Int64) {
    bytes.appendVarint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
  }

  mutating func integer(_ number: Int16, _ value: Int) {
    field(number, Self.i32)
    zigzag(Int64(value))
  }

  mutating func long(_ number: Int16, _ value: Int) {
    field(number, Self.i64)
    zigzag(Int64(value))
  }

  mutating func text(_ number: Int16, _ value: String) {
    field(number, Self.binary)
    append(value)
  }

  mutating func structure(_ number: Int16, _ value: ThriftCompactWriter) {
    field(number, Self.structure)
    bytes += value.finished
  }

  mutating func structures(_ number: Int16, _ values: [ThriftCompactWriter]) {
    list(number, count: values.count, of: Self.structure)
    for value in values { bytes += value.finished }
  }

  mutating func integers(_ number: Int16, _ values: [Int]) {
    list(number, count: values.count, of: Self.i32)
    for value in values { zigzag(Int64(value)) }
  }

  mutating func texts(_ number: Int16, _ values: [String]) {
    list(number, count: values.count, of: Self.binary)
    for value in values { append(value) }
  }

  private mutating func list(_ number: Int16, count: Int, of type: UInt8) {
    field(number, Self.list)
    if count < 15 {
      bytes.append(UInt8(count) << 4 | type)
    } else {
      bytes.append(0xF0 | type)
      bytes.appendVarint(UInt64(count))
    }
  }

  private mutating func append(_ text: String) {
    bytes.appendVarint(UInt64(text.utf8.count))
    bytes += text.utf8
  }

  /// The bytes with the mark of the struct's end.
  var finished: [UInt8] { bytes + [0] }
}
