/// The fields of a protobuf message in a file, by their places: payloads may be larger than the memory.
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
    let head = try input.varint()
    guard let tag = ProtobufTag(head) else {
      throw input.refusal("field \(head >> 3) of wire type \(head & 7): no protobuf", at: place)
    }
    switch tag.value {
    case .varint: return (tag.field, .number(try input.varint()))
    case .fixed(let size): return (tag.field, .fixed(try input.skip(size)))
    case .bytes:
      let count = try input.varint()
      guard let length = Int(exactly: count) else {
        throw input.refusal("claims \(count) bytes", at: place)
      }
      return (tag.field, .bytes(try input.skip(length)))
    }
  }
}

extension ByteInput {
  /// A number of seven bits a byte, lowest first.
  package mutating func varint() throws -> UInt64 {
    guard let value = try Varint.read({ try byte() }) else {
      throw refusal("a number of more than 64 bits")
    }
    return value
  }
}
