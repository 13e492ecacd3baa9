/// Bytes of a protocol buffer message, field by field in the order in which they are added.
package struct ProtobufMessage {
  /// The message so far.
  package private(set) var bytes: [UInt8]

  /// Creates a message that begins with bytes.
  package init(bytes: [UInt8] = []) { self.bytes = bytes }

  /// A number: an integer, a boolean or the number of an enumeration's case.
  package mutating func add(_ field: Int, _ value: Int) {
    tag(field, wireType: 0)
    bytes.appendVarint(UInt64(bitPattern: Int64(value)))
  }

  /// A single-precision number.
  package mutating func add(_ field: Int, _ value: Float) {
    tag(field, wireType: 5)
    for shift in [0, 8, 16, 24] {
      bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> shift))
    }
  }

  /// Text.
  package mutating func add(_ field: Int, _ value: String) { add(field, bytes: Array(value.utf8)) }

  /// A message inside this one.
  package mutating func add(_ field: Int, _ message: ProtobufMessage) {
    add(field, bytes: message.bytes)
  }

  /// Bytes.
  package mutating func add(_ field: Int, bytes value: [UInt8]) {
    begin(field, count: value.count)
    bytes += value
  }

  /// The beginning of `count` bytes that are written elsewhere.
  package mutating func begin(_ field: Int, count: Int) {
    tag(field, wireType: 2)
    bytes.appendVarint(UInt64(count))
  }

  private mutating func tag(_ field: Int, wireType: Int) {
    bytes.appendVarint(UInt64(field << 3 | wireType))
  }
}
