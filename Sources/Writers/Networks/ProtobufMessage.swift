/// Bytes of a protocol buffer message, field by field in the order in which they are added.
struct ProtobufMessage {
  /// The message so far.
  private(set) var bytes: [UInt8]

  /// Creates a message that begins with bytes.
  init(bytes: [UInt8] = []) { self.bytes = bytes }

  /// A number: an integer, a boolean or the number of an enumeration's case.
  mutating func add(_ field: Int, _ value: Int) {
    tag(field, wireType: 0)
    varint(UInt64(bitPattern: Int64(value)))
  }

  /// A single-precision number.
  mutating func add(_ field: Int, _ value: Float) {
    tag(field, wireType: 5)
    for shift in [0, 8, 16, 24] {
      bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift))
    }
  }

  /// Text.
  mutating func add(_ field: Int, _ value: String) { add(field, bytes: Array(value.utf8)) }

  /// A message inside this one.
  mutating func add(_ field: Int, _ message: ProtobufMessage) { add(field, bytes: message.bytes) }

  /// Bytes.
  mutating func add(_ field: Int, bytes value: [UInt8]) {
    begin(field, count: value.count)
    bytes += value
  }

  /// The beginning of `count` bytes that are written elsewhere.
  mutating func begin(_ field: Int, count: Int) {
    tag(field, wireType: 2)
    varint(UInt64(count))
  }

  private mutating func tag(_ field: Int, wireType: Int) { varint(UInt64(field << 3 | wireType)) }

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest > 0x7F {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}
