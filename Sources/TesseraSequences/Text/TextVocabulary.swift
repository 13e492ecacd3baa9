import TesseraCore

/// The tokens of a tokenizer file: ids by name, and which of them text may never become.
struct TextVocabulary: Sendable {
  /// Ids by the names in the file.
  var names: ByteStringTable
  /// The greatest id and 1.
  var size = 0
  /// Ids that only a layout may write: special tokens.
  var special: Set<Int32> = []

  init(_ members: [(key: [UInt8], value: TokenizerJSON)]) throws(TesseraError) {
    names = ByteStringTable(minimumCapacity: members.count)
    for (name, value) in members {
      guard let id = value.integer else { throw .field("vocab", "a map of names to ids") }
      try add(name, id)
    }
  }

  mutating func add(_ name: [UInt8], _ id: Int) throws(TesseraError) {
    guard (0..<1 << 30).contains(id) else { throw .field("vocab", "a map of names to ids") }
    names.insert(name, Int32(id))
    size = max(size, id + 1)
  }

  /// The id of a name.
  func id(of name: [UInt8]) -> Int32? { names.find(name) }

  /// The ids of the bytes where they stand for themselves, such as `<0x0A>`; -1 where one has none.
  var fallbacks: [Int32] {
    (0...255).map { byte in
      let digits = String(byte, radix: 16, uppercase: true)
      return id(of: Array("<0x\(digits.count == 1 ? "0" : "")\(digits)>".utf8)) ?? -1
    }
  }
}

/// How ByteLevel writes bytes as printable letters.
enum ByteAlphabet {
  /// The scalar of each byte.
  static let scalars: [UInt32] = {
    let printable = { (byte: UInt32) in
      (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
    }
    var next: UInt32 = 0x100
    return (0..<256 as Range<UInt32>).map { byte in
      if printable(byte) { return byte }
      defer { next += 1 }
      return next
    }
  }()

  private static let bytes: [UInt32: UInt8] = Dictionary(
    uniqueKeysWithValues: scalars.enumerated().map { ($1, UInt8($0)) }
  )

  /// The bytes that a name stands for; nil where it is not written in the alphabet.
  static func bytes(of name: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    var position = 0
    while position < name.count {
      let (scalar, next) = UTF8Scalars.decode(name, position)
      guard let byte = bytes[scalar] else { return nil }
      result.append(byte)
      position = next
    }
    return result
  }
}
