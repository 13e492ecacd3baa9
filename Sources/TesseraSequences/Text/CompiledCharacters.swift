import TesseraCore

/// SentencePiece's compiled rules: a double-array trie and the texts that replace its keys.
struct CompiledCharacters: Sendable {
  private let units: [UInt32]
  private let texts: [UInt8]

  /// The most bytes of a key, and the most keys that one text starts with: SentencePiece's own reader
  /// has room for 32.
  private static let deepest = 256
  private static let mostKeys = 32

  /// Reads a table.
  ///
  /// - Throws: `TesseraError` where a walk through the trie could leave it or the texts.
  init(_ data: [UInt8]) throws(TesseraError) {
    func unit(_ offset: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(data[offset + $1]) << (8 * UInt32($1)) }
    }
    guard data.count >= 4, Int(unit(0)) <= data.count - 4, unit(0) % 4 == 0 else {
      throw .field("precompiled_charsmap", "SentencePiece's table")
    }
    let size = Int(unit(0))
    units = stride(from: 4, to: 4 + size, by: 4).map(unit)
    texts = Array(data[(4 + size)...])
    var known: [Int: Reach] = [:]
    guard String(validating: texts, as: UTF8.self) != nil, texts.last == 0,
      reach(of: 0, depth: 0, &known) != nil
    else { throw .field("precompiled_charsmap", "SentencePiece's table") }
  }

  /// How far keys go on behind a unit: bytes, and ends of keys on one way.
  private struct Reach {
    var bytes: Int
    var keys: Int
  }

  /// Walks everything behind a unit; nil where that leaves the table, or has no end.
  private func reach(of index: Int, depth: Int, _ known: inout [Int: Reach]) -> Reach? {
    if let reach = known[index] {
      return depth + reach.bytes <= Self.deepest ? reach : nil
    }
    guard depth <= Self.deepest, index < units.count else { return nil }
    let unit = units[index]
    let place = index ^ Self.offset(unit)
    guard place | 0xFF < units.count else { return nil }
    let isEnd = unit >> 8 & 1 == 1
    if isEnd {
      let start = Int(units[place] & 0x7FFF_FFFF)
      guard start < texts.count, texts[start] & 0xC0 != 0x80 else { return nil }
    }
    var reach = Reach(bytes: 0, keys: 0)
    for byte in 0...255 where Int(units[place ^ byte] & 0x8000_00FF) == byte {
      guard let next = self.reach(of: place ^ byte, depth: depth + 1, &known) else { return nil }
      reach.bytes = max(reach.bytes, next.bytes + 1)
      reach.keys = max(reach.keys, next.keys)
    }
    reach.keys += isEnd ? 1 : 0
    guard reach.keys <= Self.mostKeys else { return nil }
    known[index] = reach
    return reach
  }

  /// The replacement of the shortest key that a text starts with.
  private func replacement(of text: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard let root = units.first else { return nil }
    var place = Self.offset(root)
    for byte in text {
      place ^= Int(byte)
      guard place < units.count, byte != 0 else { return nil }
      let unit = units[place]
      guard unit & 0x8000_00FF == UInt32(byte) else { return nil }
      place ^= Self.offset(unit)
      guard place < units.count else { return nil }
      if unit >> 8 & 1 == 1 {
        let start = Int(units[place] & 0x7FFF_FFFF)
        guard start <= texts.count else { return nil }
        return texts[start...].prefix { $0 != 0 }
      }
    }
    return nil
  }

  private static func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & 0x200) >> 6)) }

  /// Replaces what the table has; stops behind `most` bytes.
  func apply(to text: [UInt8], most: Int) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    for character in String(decoding: text, as: UTF8.self) where result.count <= most {
      let whole = Array(character.utf8)
      if whole.count < 6, let replacement = replacement(of: whole[...]) {
        result += replacement
        continue
      }
      var position = 0
      while position < whole.count {
        let next = UTF8Scalars.decode(whole, position).next
        result += replacement(of: whole[position..<next]) ?? whole[position..<next]
        position = next
      }
    }
    return result
  }
}
