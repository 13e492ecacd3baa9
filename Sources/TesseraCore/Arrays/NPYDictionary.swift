/// The dictionary in a .npy header, a Python literal.
///
/// Only the form that numpy writes is read. It is data, so nothing of it is evaluated.
struct NPYDictionary {
  private(set) var elementType = ElementType.float32
  private(set) var isBigEndian = false
  private(set) var isFortranOrder = false
  private(set) var shape = Shape([])

  /// The element types by numpy's kind letter and width.
  static let kinds: [String: ElementType] = [
    "b1": .bool, "i1": .int8, "u1": .uint8, "i2": .int16, "u2": .uint16, "i4": .int32,
    "u4": .uint32, "i8": .int64, "u8": .uint64, "f2": .float16, "f4": .float32, "f8": .float64,
    "c8": .complex64, "c16": .complex128,
  ]

  /// Why a dictionary was refused.
  struct Refusal: Error {
    let place: String
    let reason: String
  }

  private let text: [UInt8]
  private let rawType: ElementType?
  private var position = 0

  init(text: ArraySlice<UInt8>, rawType: ElementType? = nil) {
    self.text = Array(text)
    self.rawType = rawType
  }

  /// Reads `{'descr': …, 'fortran_order': …, 'shape': …, }`, in any order of keys.
  mutating func parse() throws(Refusal) {
    var missing: Set = ["descr", "fortran_order", "shape"]
    try expect("{", in: "header")
    while !skip("}") {
      let key = try string(in: "header")
      guard missing.remove(key) != nil else {
        throw Refusal(place: "header", reason: "key '\(printable(key))' is unknown or repeated")
      }
      try expect(":", in: key)
      switch key {
      case "descr": try parseDescriptor()
      case "fortran_order": isFortranOrder = try boolean(in: key)
      default: shape = try tuple(in: key)
      }
      if !skip(",") {
        try expect("}", in: "header")
        break
      }
    }
    skipSpaces()
    guard position == text.count else {
      throw Refusal(place: "header", reason: "there is text after the dictionary")
    }
    guard let first = missing.min() else { return }
    throw Refusal(place: "header", reason: "key '\(first)' is missing")
  }

  private mutating func parseDescriptor() throws(Refusal) {
    if skip("[") || skip("(") {
      throw Refusal(
        place: "descr",
        reason: "a structured type; save each field as an array of its own"
      )
    }
    let descriptor = try string(in: "descr")
    let kind = String(descriptor.dropFirst())
    // ml_dtypes: bfloat16 is saved as `<V2`, the 8-bit floats as `<f1` or `<V1`.
    if let rawType, ["V\(rawType.bitWidth / 8)", "f1"].contains(kind),
      kind != "f1" || rawType.bitWidth == 8
    {
      elementType = rawType
      return
    }
    guard let type = NPYDictionary.kinds[kind], let order = descriptor.first,
      order == "<" || order == ">" || (order == "|" && type.bitWidth == 8)
    else {
      throw Refusal(place: "descr", reason: refusal(of: descriptor, letter: kind.first))
    }
    elementType = type
    isBigEndian = order == ">" && type.bitWidth > 8
  }

  private func refusal(of descriptor: String, letter: Character?) -> String {
    let name = "'\(printable(descriptor))'"
    return switch letter {
    case "O":
      "type \(name) holds pickled Python objects, which are never read; save a plain array"
    case "U", "S", "a": "type \(name) holds strings, and a tensor holds numbers"
    case "V":
      "type \(name) is raw bytes (ml_dtypes such as bfloat16 are saved so); save float32 instead"
    case "M", "m": "type \(name) holds dates or durations, and a tensor holds numbers"
    default:
      "type \(name) is none of |b1 |i1 |u1, i2 i4 i8 u2 u4 u8 f2 f4 f8 c8 c16 after < or >"
    }
  }

  /// Reads a quoted string of at most 64 ASCII characters without escapes: no key or type needs more.
  private mutating func string(in place: String) throws(Refusal) -> String {
    skipSpaces()
    let unreadable = Refusal(place: place, reason: "a short quoted string was expected")
    guard position < text.count, [UInt8(ascii: "'"), UInt8(ascii: "\"")].contains(text[position])
    else { throw unreadable }
    let rest = text[(position + 1)...]
    guard let end = rest.prefix(65).firstIndex(of: text[position]) else { throw unreadable }
    let characters = text[position + 1..<end]
    guard characters.allSatisfy({ 0x20..<0x7F ~= $0 && $0 != UInt8(ascii: "\\") }) else {
      throw unreadable
    }
    position = end + 1
    return String(decoding: characters, as: UTF8.self)
  }

  private mutating func boolean(in place: String) throws(Refusal) -> Bool {
    if skip("True") { return true }
    if skip("False") { return false }
    throw Refusal(place: place, reason: "neither True nor False")
  }

  /// Reads `()`, `(3,)` or `(3, 4)`; extents may end in the `L` of Python 2.
  private mutating func tuple(in place: String) throws(Refusal) -> Shape {
    try expect("(", in: place)
    var dimensions: [Int] = []
    while !skip(")") {
      dimensions.append(try number(in: place))
      guard dimensions.count <= 64 else {
        throw Refusal(place: place, reason: "more than 64 axes")
      }
      if !skip(",") {
        try expect(")", in: place)
        // `(3)` is a number in Python, not a tuple.
        guard dimensions.count > 1 else {
          throw Refusal(place: place, reason: "a number and not a tuple")
        }
        break
      }
    }
    return Shape(dimensions)
  }

  private mutating func number(in place: String) throws(Refusal) -> Int {
    skipSpaces()
    let digits = text[position...].prefix(20).prefix { 0x30...0x39 ~= $0 }
    guard let value = Int(String(decoding: digits, as: UTF8.self)),
      digits.count == 1 || digits.first != UInt8(ascii: "0")
    else { throw Refusal(place: place, reason: "an extent is not a whole number from 0 to 2^63-1") }
    position += digits.count
    if position < text.count, text[position] == UInt8(ascii: "L") { position += 1 }
    return value
  }

  private mutating func expect(_ token: String, in place: String) throws(Refusal) {
    guard skip(token) else {
      throw Refusal(place: place, reason: "'\(token)' was expected at byte \(position)")
    }
  }

  /// Moves behind `token` and the white space before it, where it comes next.
  private mutating func skip(_ token: String) -> Bool {
    skipSpaces()
    guard text[position...].starts(with: token.utf8) else { return false }
    position += token.utf8.count
    return true
  }

  private mutating func skipSpaces() {
    while position < text.count, [0x20, 0x09, 0x0A, 0x0D].contains(text[position]) {
      position += 1
    }
  }

  /// The text as one short line for messages.
  private func printable(_ text: String) -> String { String(text.prefix(32)) }
}

extension ElementType {
  /// The type of numpy's kind letter and width, such as `f4`; nil for what no tensor holds.
  package init?(numpyKind kind: String) {
    guard let type = NPYDictionary.kinds[kind] else { return nil }
    self = type
  }
}
