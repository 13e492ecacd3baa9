/// What stands in front of a field of a protobuf message: its number, and how its value is written.
///
/// Source: "Encoding", in the documentation of Protocol Buffers.
struct ProtobufTag {
  enum Value {
    case varint
    case fixed(Int)
    case bytes
  }

  let field: Int
  let value: Value

  /// Takes a tag apart; nil where it is none.
  init?(_ tag: UInt64) {
    // Other readers would cut a greater tag to 32 bits, and see another field.
    guard tag <= UInt64(UInt32.max), tag >> 3 > 0 else { return nil }
    field = Int(truncatingIfNeeded: tag >> 3)
    switch tag & 7 {
    case 0: value = .varint
    case 1: value = .fixed(8)
    case 2: value = .bytes
    case 5: value = .fixed(4)
    default: return nil
    }
  }
}

/// The fields of a protobuf message in memory, read in order.
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
      guard let tag = ProtobufTag(try varint()) else { throw damage() }
      switch tag.value {
      case .varint: _ = try varint()
      case .fixed(let size): _ = try take(size)
      case .bytes:
        guard let count = Int(exactly: try varint()) else { throw damage() }
        return (tag.field, try take(count))
      }
    }
    return nil
  }

  package mutating func varint() throws -> UInt64 {
    guard let value = rest.popVarint() else { throw damage() }
    return value
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
