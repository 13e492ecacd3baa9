/// A value of a MessagePack file as its first bytes announce it.
package enum MessagePackToken {
  case none
  case boolean(Bool)
  case integer(Int)
  /// An integer above `Int.max`.
  case unsigned(UInt64)
  case float(Double)
  case text(String)
  /// A text that is too long to keep.
  case longText
  case bytes(Range<Int>)
  case array(Int)
  case map(Int)
  /// A value of an application's own: its type and where its bytes lie.
  case custom(Int, Range<Int>)
}

extension ByteInput {
  private static var longestText: Int { 1 << 16 }

  /// Reads the next value; of containers and bytes only what they claim, checked against what is left.
  package mutating func messagePackToken() throws -> MessagePackToken {
    let place = position
    let byte = try byte()
    switch byte {
    case 0x00...0x7F: return .integer(Int(byte))
    case 0x80...0x8F: return try map(Int(byte & 15))
    case 0x90...0x9F: return try array(Int(byte & 15))
    case 0xA0...0xBF: return try messageText(Int(byte & 31))
    case 0xC0: return .none
    case 0xC2, 0xC3: return .boolean(byte == 0xC3)
    case 0xC4...0xC6: return .bytes(try skip(try length(1 << (byte - 0xC4))))
    case 0xC7...0xC9: return try custom(try length(1 << (byte - 0xC7)))
    case 0xCA:
      return .float(Double(Float(bitPattern: UInt32(try bigEndianBits(width: 4)))))
    case 0xCB: return .float(Double(bitPattern: try bigEndianBits(width: 8)))
    case 0xCC...0xCF:
      let value = try bigEndianBits(width: 1 << Int(byte - 0xCC))
      return Int(exactly: value).map { .integer($0) } ?? .unsigned(value)
    case 0xD0: return .integer(Int(Int8(truncatingIfNeeded: try bigEndianBits(width: 1))))
    case 0xD1: return .integer(Int(Int16(truncatingIfNeeded: try bigEndianBits(width: 2))))
    case 0xD2: return .integer(Int(Int32(truncatingIfNeeded: try bigEndianBits(width: 4))))
    case 0xD3: return .integer(Int(Int64(bitPattern: try bigEndianBits(width: 8))))
    case 0xD4...0xD8: return try custom(1 << Int(byte - 0xD4))
    case 0xD9...0xDB: return try messageText(try length(1 << (byte - 0xD9)))
    case 0xDC, 0xDD: return try array(try length(byte == 0xDC ? 2 : 4))
    case 0xDE, 0xDF: return try map(try length(byte == 0xDE ? 2 : 4))
    case 0xE0...0xFF: return .integer(Int(Int8(bitPattern: byte)))
    default: throw refusal("0xc1 is no value", at: place)
    }
  }

  private mutating func length(_ width: UInt8) throws -> Int {
    Int(try bigEndianBits(width: Int(width)))
  }

  private mutating func array(_ count: Int) throws -> MessagePackToken {
    guard count <= remaining else {
      throw refusal("an array of \(count) values where \(remaining) bytes are left")
    }
    return .array(count)
  }

  private mutating func map(_ count: Int) throws -> MessagePackToken {
    guard count <= remaining / 2 else {
      throw refusal("a map of \(count) entries where \(remaining) bytes are left")
    }
    return .map(count)
  }

  private mutating func messageText(_ count: Int) throws -> MessagePackToken {
    guard count <= ByteInput.longestText else {
      _ = try skip(count)
      return .longText
    }
    return .text(try text(count))
  }

  private mutating func custom(_ count: Int) throws -> MessagePackToken {
    let type = Int(Int8(bitPattern: try byte()))
    return .custom(type, try skip(count))
  }
}
