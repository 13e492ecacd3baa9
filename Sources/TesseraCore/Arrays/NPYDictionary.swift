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

  private let text: [UInt8]
  private let rawType: ElementType?
  private var position = 0

  init(text: ArraySlice<UInt8>, rawType: ElementType? = nil) {
    self.text = Array(text)
    self.rawType = rawType
  }

  /// Reads `{'descr': …, 'fortran_order': …, 'shape': …, }`, in any order of keys.
  mutating func parse() throws(TesseraError) {
    var missing: Set = ["descr", "fortran_order", "shape"]
    try expect("{", in: "header")
    while !skip("}") {
      let key = try string(in: "header")
      guard missing.remove(key) != nil else {
        throw TesseraError.malformed(
          "key '\(printable(key))' is unknown or repeated",
          place: "npy header"
        )
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
      throw TesseraError.malformed("there is text after the dictionary", place: "npy header")
    }
    guard let first = missing.min() else { return }
    throw TesseraError.malformed("key '\(first)' is missing", place: "npy header")
  }

  private mutating func parseDescriptor() throws(TesseraError) {
    if skip("[") || skip("(") {
      throw TesseraError(
        .malformedInput,
        "a structured type; save each field as an array of its own",
        place: "npy descr",
        detail: .noNumbers
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
      throw refusal(of: descriptor, letter: kind.first)
    }
    elementType = type
    isBigEndian = order == ">" && type.bitWidth > 8
  }

  private func refusal(of descriptor: String, letter: Character?) -> TesseraError {
    let name = "'\(printable(descriptor))'"
    let (cause, detail): (String, TesseraError.Detail) =
      switch letter {
      case "O":
        (
          "type \(name) holds pickled Python objects, which are never read; save a plain array",
          .pickled
        )
      case "U", "S", "a":
        ("type \(name) holds strings, and a tensor holds numbers", .noNumbers)
      case "V":
        (
          "type \(name) is raw bytes (ml_dtypes such as bfloat16 are saved so); save float32 instead",
          .elementType
        )
      case "M", "m":
        ("type \(name) holds dates or durations, and a tensor holds numbers", .noNumbers)
      default:
        (
          "type \(name) is none of |b1 |i1 |u1, i2 i4 i8 u2 u4 u8 f2 f4 f8 c8 c16 after < or >",
          .elementType
        )
      }
    return TesseraError(.malformedInput, cause, place: "npy descr", detail: detail)
  }

  /// Reads a quoted string of at most 64 ASCII characters without escapes: no key or type needs more.
  private mutating func string(in place: String) throws(TesseraError) -> String {
    skipSpaces()
    let unreadable = TesseraError.malformed(
      "a short quoted string was expected",
      place: "npy \(place)"
    )
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

  private mutating func boolean(in place: String) throws(TesseraError) -> Bool {
    if skip("True") { return true }
    if skip("False") { return false }
    throw TesseraError.malformed("neither True nor False", place: "npy \(place)")
  }

  /// Reads `()`, `(3,)` or `(3, 4)`; extents may end in the `L` of Python 2.
  private mutating func tuple(in place: String) throws(TesseraError) -> Shape {
    try expect("(", in: place)
    var dimensions: [Int] = []
    while !skip(")") {
      dimensions.append(try number(in: place))
      guard dimensions.count <= 64 else {
        throw TesseraError.malformed("more than 64 axes", place: "npy \(place)")
      }
      if !skip(",") {
        try expect(")", in: place)
        // `(3)` is a number in Python, not a tuple.
        guard dimensions.count > 1 else {
          throw TesseraError.malformed("a number and not a tuple", place: "npy \(place)")
        }
        break
      }
    }
    return Shape(dimensions)
  }

  private mutating func number(in place: String) throws(TesseraError) -> Int {
    skipSpaces()
    let digits = text[position...].prefix(20).prefix { 0x30...0x39 ~= $0 }
    guard let value = Int(String(decoding: digits, as: UTF8.self)),
      digits.count == 1 || digits.first != UInt8(ascii: "0")
    else {
      throw TesseraError.malformed(
        "an extent is not a whole number from 0 to 2^63-1",
        place: "npy \(place)"
      )
    }
    position += digits.count
    if position < text.count, text[position] == UInt8(ascii: "L") { position += 1 }
    return value
  }

  private mutating func expect(_ token: String, in place: String) throws(TesseraError) {
    guard skip(token) else {
      throw TesseraError.malformed(
        "'\(token)' was expected at byte \(position)",
        place: "npy \(place)"
      )
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
