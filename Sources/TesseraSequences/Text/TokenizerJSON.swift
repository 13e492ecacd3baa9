import TesseraCore

/// A value of a tokenizer file, with strings as UTF-8: the vocabulary holds strings that are equal by
/// Unicode's rules and different tokens all the same.
indirect enum TokenizerJSON {
  case null
  case bool(Bool)
  case number(Double)
  case string([UInt8])
  case array([TokenizerJSON])
  case object([(key: [UInt8], value: TokenizerJSON)])

  /// The first member of a name; nil where there is none, or it is null.
  subscript(name: String) -> TokenizerJSON? {
    guard case .object(let members) = self else { return nil }
    let key = Array(name.utf8)
    guard let value = members.first(where: { $0.key == key })?.value else { return nil }
    if case .null = value { return nil }
    return value
  }

  var bytes: [UInt8]? { if case .string(let bytes) = self { bytes } else { nil } }
  var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
  var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  var number: Double? { if case .number(let value) = self { value } else { nil } }
  var integer: Int? { number.flatMap { Int(exactly: $0) } }
  var array: [TokenizerJSON]? { if case .array(let elements) = self { elements } else { nil } }
  var members: [(key: [UInt8], value: TokenizerJSON)]? {
    if case .object(let members) = self { members } else { nil }
  }

  /// Reads a whole text.
  init(parsing bytes: [UInt8]) throws(TesseraError) {
    var parser = TokenizerJSONParser(bytes: bytes)
    self = try parser.value(depth: 0)
    try parser.end()
  }
}

private struct TokenizerJSONParser {
  let bytes: [UInt8]
  var position = 0

  private static let deepest = 64

  func failure(_ cause: String) -> TesseraError {
    TesseraError.malformed("byte \(position): \(cause)")
  }

  mutating func skipSpace() {
    while position < bytes.count, [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) {
      position += 1
    }
  }

  mutating func end() throws(TesseraError) {
    skipSpace()
    guard position == bytes.count else { throw failure("text after the end") }
  }

  mutating func value(depth: Int) throws(TesseraError) -> TokenizerJSON {
    guard depth < Self.deepest else { throw failure("nested too deeply") }
    skipSpace()
    guard position < bytes.count else { throw failure("the text ends early") }
    switch bytes[position] {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func word(
    _ text: String,
    _ value: TokenizerJSON
  ) throws(TesseraError) -> TokenizerJSON {
    guard bytes[position...].starts(with: text.utf8) else { throw failure("not JSON") }
    position += text.utf8.count
    return value
  }

  private mutating func number() throws(TesseraError) -> TokenizerJSON {
    let start = position
    while position < bytes.count,
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position])
        || [0x2B, 0x2D, 0x2E, 0x45, 0x65].contains(bytes[position])
    {
      position += 1
    }
    guard let value = Double(String(decoding: bytes[start..<position], as: UTF8.self)) else {
      throw failure("not JSON")
    }
    return .number(value)
  }

  private mutating func array(depth: Int) throws(TesseraError) -> TokenizerJSON {
    var elements: [TokenizerJSON] = []
    position += 1
    skipSpace()
    if take("]") { return .array([]) }
    repeat {
      elements.append(try value(depth: depth + 1))
      skipSpace()
    } while take(",")
    guard take("]") else { throw failure("a list without end") }
    return .array(elements)
  }

  private mutating func object(depth: Int) throws(TesseraError) -> TokenizerJSON {
    var members: [(key: [UInt8], value: TokenizerJSON)] = []
    position += 1
    skipSpace()
    if take("}") { return .object([]) }
    repeat {
      skipSpace()
      guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
        throw failure("no name of a member")
      }
      let key = try string()
      skipSpace()
      guard take(":") else { throw failure("no value of a member") }
      members.append((key, try value(depth: depth + 1)))
      skipSpace()
    } while take(",")
    guard take("}") else { throw failure("an object without end") }
    return .object(members)
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func string() throws(TesseraError) -> [UInt8] {
    position += 1
    var text: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard String(validating: text, as: UTF8.self) != nil else { throw failure("not UTF-8") }
        return text
      case UInt8(ascii: "\\"): try escape(into: &text)
      default: text.append(byte)
      }
    }
    throw failure("a string without end")
  }

  private mutating func escape(into text: inout [UInt8]) throws(TesseraError) {
    guard position < bytes.count else { throw failure("a string without end") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
    case UInt8(ascii: "u"):
      var code = try unit()
      if (0xD800..<0xDC00).contains(code), take("\\"), take("u") {
        let low = try unit()
        guard (0xDC00..<0xE000).contains(low) else { throw failure("half a surrogate pair") }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
      text += Array(String(scalar).utf8)
    default: throw failure("an unknown escape")
    }
  }

  private mutating func unit() throws(TesseraError) -> UInt32 {
    guard position + 4 <= bytes.count,
      let code = UInt32(
        String(decoding: bytes[position..<position + 4], as: UTF8.self),
        radix: 16
      )
    else { throw failure("an unknown escape") }
    position += 4
    return code
  }
}
