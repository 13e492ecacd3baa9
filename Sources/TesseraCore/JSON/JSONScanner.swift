import Foundation

/// A strict reader of JSON text that hands out values as it meets them, so a large text needs no
/// tree.
///
/// Stricter than Foundation's parser where it matters for files that others wrote: a key that
/// occurs
/// twice in one object is refused, never silently resolved.
package struct JSONScanner {
  /// Where in the text something is wrong, and what.
  package struct Failure: Error {
    package let offset: Int
    package let cause: String
  }

  private let bytes: [UInt8]
  package private(set) var position = 0
  private var depth = 0

  private static let depthLimit = 64

  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Reads one value of the whole text; only white space may follow.
  package static func read(_ bytes: [UInt8], _ body: (inout JSONScanner) throws -> Void) throws {
    var scanner = JSONScanner(bytes)
    scanner.skipSpace()
    try body(&scanner)
    scanner.skipSpace()
    guard scanner.position == bytes.count else { throw scanner.failure("text after the end") }
  }

  /// The members of a text that is one object of strings; none where it is anything else.
  package static func strings(in text: [UInt8]) -> [String: String] {
    var strings: [String: String] = [:]
    let isObject: Void? = try? read(text) { scanner in
      try scanner.object { scanner, key in strings[key] = try scanner.string() }
    }
    return isObject == nil ? [:] : strings
  }

  package func failure(_ cause: String) -> Failure { Failure(offset: position, cause: cause) }

  /// The first byte of the next value, or nil at the end.
  package var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  /// Reads an object; `member` must read the value of each key.
  package mutating func object(_ member: (inout JSONScanner, String) throws -> Void) throws {
    var keys: Set<String> = []
    try items(from: "{", to: "}") { scanner in
      let start = scanner.position
      let key = try scanner.string()
      guard keys.insert(key).inserted else {
        throw Failure(offset: start, cause: "the key '\(key)' occurs twice")
      }
      scanner.skipSpace()
      try scanner.expect(":")
      scanner.skipSpace()
      try member(&scanner, key)
    }
  }

  /// Reads an array; `element` must read each value.
  package mutating func array(_ element: (inout JSONScanner) throws -> Void) throws {
    try items(from: "[", to: "]", element)
  }

  /// Reads a whole number from 0 to `Int.max`, written in digits only.
  package mutating func wholeNumber() throws -> Int {
    let start = position
    var value = 0
    while let digit = next, digit &- 0x30 < 10 {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(digit - 0x30))
      if overflow || carry { throw Failure(offset: start, cause: "a number above 2^63 - 1") }
      value = sum
      position += 1
    }
    let isPlain = next.map { ![0x2E, 0x45, 0x65].contains($0) } ?? true
    let hasLeadingZero = position - start > 1 && bytes[start] == 0x30
    guard position > start, isPlain, !hasLeadingZero else {
      throw Failure(offset: start, cause: "expected a whole number from 0 on")
    }
    return value
  }

  /// Reads a whole number of either sign, written in digits only.
  package mutating func integer() throws -> Int {
    guard next == UInt8(ascii: "-") else { return try wholeNumber() }
    position += 1
    return -(try wholeNumber())
  }

  /// Passes over a value of any type.
  package mutating func skip() throws {
    switch next {
    case UInt8(ascii: "{"): try object { scanner, _ in try scanner.skip() }
    case UInt8(ascii: "["): try array { scanner in try scanner.skip() }
    case UInt8(ascii: "\""): _ = try string()
    default: _ = try word()
    }
  }

  /// Reads a number, `true`, `false` or `null` as it is written.
  package mutating func literal() throws -> String {
    String(decoding: bytes[try word()], as: UTF8.self)
  }

  /// Passes over a number, `true`, `false` or `null`; returns where it stands.
  private mutating func word() throws -> Range<Int> {
    let start = position
    while let byte = next, !JSONScanner.endsWord(byte) { position += 1 }
    let word = bytes[start..<position]
    let isName = ["true", "false", "null"].contains { word.elementsEqual($0.utf8) }
    guard JSONScanner.isNumber(word) || isName else {
      throw Failure(offset: start, cause: "expected a value")
    }
    return start..<position
  }

  private static func endsWord(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x20, 0x09, 0x0D, 0x0A, UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "]"),
      UInt8(ascii: "}"), UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: "\""):
      true
    default: false
    }
  }

  /// Whether a word is a number by JSON's grammar: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
  package static func isNumber(_ word: ArraySlice<UInt8>) -> Bool {
    var rest = word
    func isNext(_ byte: Unicode.Scalar) -> Bool { rest.first == UInt8(ascii: byte) }
    func skipDigits() -> Int {
      let digits = rest.prefix { $0 &- 0x30 < 10 }.count
      rest = rest.dropFirst(digits)
      return digits
    }
    if isNext("-") { rest.removeFirst() }
    let startsWithZero = isNext("0")
    let whole = skipDigits()
    guard whole > 0, whole == 1 || !startsWithZero else { return false }
    if isNext(".") {
      rest.removeFirst()
      guard skipDigits() > 0 else { return false }
    }
    if isNext("e") || isNext("E") {
      rest.removeFirst()
      if isNext("+") || isNext("-") { rest.removeFirst() }
      guard skipDigits() > 0 else { return false }
    }
    return rest.isEmpty
  }

  private mutating func items(
    from opening: Unicode.Scalar,
    to closing: Unicode.Scalar,
    _ item: (inout JSONScanner) throws -> Void
  ) throws {
    try expect(opening)
    depth += 1
    defer { depth -= 1 }
    guard depth <= JSONScanner.depthLimit else { throw failure("values nest too deeply") }
    skipSpace()
    if next == UInt8(ascii: closing) {
      position += 1
      return
    }
    while true {
      try item(&self)
      skipSpace()
      if next == UInt8(ascii: closing) {
        position += 1
        return
      }
      try expect(",")
      skipSpace()
    }
  }

  private mutating func expect(_ scalar: Unicode.Scalar) throws {
    guard next == UInt8(ascii: scalar) else { throw failure("expected '\(scalar)'") }
    position += 1
  }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      position += 1
    }
  }
}

extension JSONScanner {
  /// Reads a string; invalid UTF-8, control characters and lone surrogates are refused.
  package mutating func string() throws -> String {
    let start = position
    try expect("\"")
    var text: [UInt8] = []
    while let byte = next {
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        guard let string = String(validating: text, as: UTF8.self) else {
          throw Failure(offset: start, cause: "a string that is not UTF-8")
        }
        return string
      case UInt8(ascii: "\\"): text.append(contentsOf: try escape())
      case 0..<0x20: throw Failure(offset: position - 1, cause: "a control character in a string")
      default: text.append(byte)
      }
    }
    throw Failure(offset: start, cause: "a string without an end")
  }

  private mutating func escape() throws -> [UInt8] {
    guard let byte = next else { throw failure("a string without an end") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"): return try unicodeEscape()
    default: throw Failure(offset: position - 1, cause: "an unknown escape in a string")
    }
  }

  private mutating func unicodeEscape() throws -> [UInt8] {
    let start = position - 2
    var code = try fourHexDigits()
    if code & 0xFC00 == 0xD800, next == UInt8(ascii: "\\") {
      position += 1
      try expect("u")
      let low = try fourHexDigits()
      guard low & 0xFC00 == 0xDC00 else {
        throw Failure(offset: start, cause: "half of a surrogate pair")
      }
      code = 0x10000 + (code & 0x3FF) << 10 + low & 0x3FF
    }
    guard let scalar = Unicode.Scalar(code) else {
      throw Failure(offset: start, cause: "half of a surrogate pair")
    }
    return Array(String(scalar).utf8)
  }

  private mutating func fourHexDigits() throws -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw failure("expected four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }
}
