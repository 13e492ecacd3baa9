import Foundation
import TesseraCore

// MARK: Numbers

extension PickleInterpreter {
  mutating func pushNumber(_ opcode: PickleOpcode) throws {
    switch opcode {
    case .none: pushNone()
    case .newTrue: pushBoolean(true)
    case .newFalse: pushBoolean(false)
    case .byteInteger: pushInteger(try input.number(width: 1))
    case .shortInteger: pushInteger(try input.number(width: 2))
    case .binaryInteger:
      let bits = UInt32(truncatingIfNeeded: try input.number(width: 4))
      pushInteger(Int(Int32(bitPattern: bits)))
    case .long1: pushLong(try input.bytes(try input.number(width: 1)))
    case .long4:
      let count = try input.number(width: 4)
      guard count <= 1 << 16 else { throw input.refusal("an integer of \(count) bytes") }
      pushLong(try input.bytes(count))
    case .binaryFloat:
      let bits = try input.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      push(.float(Double(bitPattern: bits)))
    case .floatLine:
      let line = try asciiLine()
      guard let value = Double(line) else { throw input.refusal("'\(line)' is no number") }
      push(.float(value))
    default: try pushDecimal(try asciiLine())
    }
  }

  /// A decimal integer of protocol 0; `00` and `01` are its truth values.
  private mutating func pushDecimal(_ line: String) throws {
    if line == "00" || line == "01" { return pushBoolean(line == "01") }
    let digits = line.hasSuffix("L") ? String(line.dropLast()) : line
    if let value = Int(digits) { return pushInteger(value) }
    let unsigned = digits.hasPrefix("-") ? digits.dropFirst() : digits[...]
    guard !unsigned.isEmpty, unsigned.utf8.count <= 1024,
      unsigned.utf8.allSatisfy({ 0x30...0x39 ~= $0 })
    else { throw input.refusal("'\(line.prefix(32))' is no integer") }
    push(.wideInteger(Self.bytes(ofDecimal: unsigned.utf8, isNegative: digits.hasPrefix("-"))))
  }

  /// Two's complement of a decimal, byte by byte: no other wide integer is worth a library.
  private static func bytes(ofDecimal digits: some Sequence<UInt8>, isNegative: Bool) -> [UInt8] {
    var bytes: [UInt8] = [0]
    for digit in digits {
      var carry = Int(digit) - 0x30
      for index in bytes.indices {
        let value = Int(bytes[index]) * 10 + carry
        bytes[index] = UInt8(truncatingIfNeeded: value)
        carry = value >> 8
      }
      if carry > 0 { bytes.append(UInt8(carry)) }
    }
    bytes.append(0)
    guard isNegative else { return bytes }
    var carry = 1
    return bytes.map { byte in
      let value = Int(~byte) + carry
      carry = value >> 8
      return UInt8(truncatingIfNeeded: value)
    }
  }

  private mutating func pushLong(_ bytes: [UInt8]) {
    guard bytes.count <= 8 else { return push(.wideInteger(bytes)) }
    var bits: UInt64 = bytes.last.map { $0 & 0x80 != 0 } == true ? .max : 0
    for byte in bytes.reversed() { bits = bits << 8 | UInt64(byte) }
    pushInteger(Int(Int64(bitPattern: bits)))
  }

  private mutating func asciiLine() throws -> String {
    String(decoding: try input.line(), as: UTF8.self).trimmingCharacters(in: .whitespaces)
  }
}

// MARK: Texts and bytes

extension PickleInterpreter {
  mutating func pushText(_ opcode: PickleOpcode) throws {
    switch opcode {
    case .shortUnicode: try pushUnicode(try input.number(width: 1))
    case .binaryUnicode: try pushUnicode(try input.number(width: 4))
    case .binaryUnicode8: try pushUnicode(try input.number(width: 8))
    case .shortString: try pushString(try input.number(width: 1))
    case .binaryString: try pushString(try input.number(width: 4))
    case .shortBytes: push(.bytes(try input.skip(try input.number(width: 1))))
    case .binaryBytes: push(.bytes(try input.skip(try input.number(width: 4))))
    case .binaryBytes8, .byteArray8: push(.bytes(try input.skip(try input.number(width: 8))))
    case .unicodeLine: try pushText(try Self.unescaped(try longLine(), isUnicode: true))
    default: try pushQuoted(try longLine())
    }
  }

  /// A text of protocol 0, which may be an array's data.
  private mutating func longLine() throws -> [UInt8] { try input.line(limit: Self.textLimit) }

  private mutating func pushUnicode(_ count: Int) throws {
    guard count <= Self.longestText else { return push(.longText(try input.skip(count))) }
    let bytes = try input.bytes(count)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw input.refusal("a text that is not UTF-8")
    }
    try pushText(text)
  }

  /// A string of Python 2: a text where it is UTF-8, else bytes.
  private mutating func pushString(_ count: Int) throws {
    let range = try input.skip(count)
    guard count <= Self.longestText,
      let text = String(validating: try input.region.bytes(range), as: UTF8.self)
    else { return push(.bytes(range)) }
    try pushText(text)
  }

  private mutating func pushQuoted(_ line: [UInt8]) throws {
    guard line.count >= 2, let quote = line.first, quote == line.last,
      quote == 0x27 || quote == 0x22
    else { throw input.refusal("a string without its quotes") }
    try pushText(try Self.unescaped(Array(line[1..<line.count - 1]), isUnicode: false))
  }

  mutating func pushText(_ text: String) throws {
    textBytes += text.utf8.count
    guard textBytes <= Self.textLimit else {
      throw input.refusal("more than \(Self.textLimit >> 20) MiB of texts")
    }
    push(cells.add(text))
  }

  /// Resolves backslashes: `\uXXXX` in texts, Python's string escapes elsewhere.
  private static func unescaped(_ bytes: [UInt8], isUnicode: Bool) throws -> String {
    var scalars = String.UnicodeScalarView()
    var place = 0
    while place < bytes.count {
      let byte = bytes[place]
      place += 1
      guard byte == 0x5C, place < bytes.count else {
        // Bytes above 0x7F are Latin-1, in both kinds.
        scalars.append(Unicode.Scalar(byte))
        continue
      }
      let kind = bytes[place]
      if let width = hexDigits(after: kind, isUnicode: isUnicode),
        let code = number(bytes[(place + 1)...].prefix(width), count: width)
      {
        scalars.append(Unicode.Scalar(code) ?? "\u{FFFD}")
        place += 1 + width
      } else if isUnicode {
        scalars.append("\\")
      } else {
        scalars.append(plainEscape(kind))
        place += 1
      }
    }
    return String(scalars)
  }

  /// How many hexadecimal digits follow `\u`, `\U` or `\x`.
  private static func hexDigits(after kind: UInt8, isUnicode: Bool) -> Int? {
    switch (kind, isUnicode) {
    case (0x75, true): 4
    case (0x55, true): 8
    case (0x78, false): 2
    default: nil
    }
  }

  private static func number(_ digits: ArraySlice<UInt8>, count: Int) -> UInt32? {
    guard digits.count == count else { return nil }
    return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
  }

  private static func plainEscape(_ kind: UInt8) -> Unicode.Scalar {
    switch kind {
    case 0x6E: "\n"
    case 0x72: "\r"
    case 0x74: "\t"
    default: Unicode.Scalar(kind)
    }
  }
}

// MARK: The memo

extension PickleInterpreter {
  mutating func useMemo(_ opcode: PickleOpcode) throws {
    switch opcode {
    case .memoize: memo[memo.count] = try top()
    case .put: memo[try input.number(width: 1)] = try top()
    case .longPut: memo[try input.number(width: 4)] = try top()
    case .putLine: memo[try memoIndex()] = try top()
    case .get: push(try remembered(try input.number(width: 1)))
    case .longGet: push(try remembered(try input.number(width: 4)))
    default: push(try remembered(try memoIndex()))
    }
  }

  private mutating func memoIndex() throws -> Int {
    let line = try input.line()
    guard let index = Int(String(decoding: line, as: UTF8.self)), index >= 0 else {
      throw input.refusal("a memo entry without a number")
    }
    return index
  }

  private func remembered(_ index: Int) throws -> PickleNode {
    guard let node = memo[index] else { throw input.refusal("memo entry \(index) is not there") }
    return node
  }
}
