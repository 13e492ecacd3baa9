/// The fields of a protobuf message, one after the other.
package struct WireFields {
  /// A field's value as it stands in the file.
  package enum Value {
    /// A varint, or the bits of a fixed width.
    case number(UInt64)
    /// The place of 4 or 8 bytes.
    case fixed(Range<Int>)
    /// The place of a text, bytes, a message, or packed numbers.
    case bytes(Range<Int>)
  }

  private var input: ByteInput

  /// Reads the message in a range of a region.
  package init(_ region: FileRegion, _ range: Range<Int>) {
    input = ByteInput(
      region: region,
      from: range.lowerBound,
      to: range.upperBound,
      what: "protobuf"
    )
  }

  /// The next field's number and value; nil at the message's end.
  package mutating func next() throws -> (field: Int, value: Value)? {
    guard input.remaining > 0 else { return nil }
    let place = input.position
    let tag = try input.varint()
    guard let field = Int(exactly: tag >> 3), field > 0, field < 1 << 29 else {
      throw input.refusal("a field without a number: no protobuf", at: place)
    }
    switch tag & 7 {
    case 0: return (field, .number(try input.varint()))
    case 1: return (field, .fixed(try input.skip(8)))
    case 2:
      let count = try input.varint()
      guard let length = Int(exactly: count) else {
        throw input.refusal("claims \(count) bytes", at: place)
      }
      return (field, .bytes(try input.skip(length)))
    case 5: return (field, .fixed(try input.skip(4)))
    default: throw input.refusal("wire type \(tag & 7): no protobuf", at: place)
    }
  }
}

extension ByteInput {
  /// A number of seven bits a byte, lowest first.
  package mutating func varint() throws -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      let byte = try byte()
      guard shift < 63 || byte <= 1 else { break }
      value |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return value }
    }
    throw refusal("a number of more than 64 bits")
  }
}
