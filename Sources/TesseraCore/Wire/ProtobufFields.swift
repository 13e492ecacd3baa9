/// The fields of a protobuf message, read in order.
package struct ProtobufFields {
  private var rest: ArraySlice<UInt8>
  private let place: String

  package init(_ bytes: ArraySlice<UInt8>, place: String) {
    rest = bytes
    self.place = place
  }

  package var isAtEnd: Bool { rest.isEmpty }

  /// The next field of bytes, a message or packed numbers; other kinds are passed over.
  package mutating func next() throws -> (number: Int, bytes: ArraySlice<UInt8>)? {
    while !rest.isEmpty {
      let tag = try varint()
      // Other readers would cut a greater tag to 32 bits, and see another field.
      guard tag <= UInt64(UInt32.max) else { throw damage() }
      switch tag & 7 {
      case 0: _ = try varint()
      case 1: _ = try take(8)
      case 5: _ = try take(4)
      case 2:
        guard let count = Int(exactly: try varint()) else { throw damage() }
        return (Int(truncatingIfNeeded: tag >> 3), try take(count))
      default: throw damage()
      }
    }
    return nil
  }

  package mutating func varint() throws -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = rest.popFirst() else { throw damage() }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw damage()
  }

  private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    guard count <= rest.count else { throw damage() }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }

  private func damage() -> TesseraError {
    TesseraError.malformed("a damaged protobuf message", file: place)
  }
}
