import TesseraCore

/// Tokens that are cut out of a text before its model sees the rest.
///
/// Special ones are left in the text: what a caption says never becomes a control token.
struct AddedTokens: Sendable {
  private struct Token {
    let id: Int32
    let isSpecial: Bool
    let isWord: Bool
    /// Whether white space on either side goes with it.
    let strips: (left: Bool, right: Bool)
  }

  private var tokens: [Token] = []
  private var trie = ByteTrie()
  private var byteCount = 0
  private var firsts = [Bool](repeating: false, count: 256)

  init() {}

  /// Whether there is nothing to look for.
  var isEmpty: Bool { tokens.isEmpty }

  /// The longest token, and the most bytes of all: a text is compared with them at each place.
  private static let limits = (one: 512, all: 1 << 22)

  /// Adds an entry of `added_tokens`.
  ///
  /// - Throws: `TesseraError` where it is too long.
  mutating func add(
    _ json: TokenizerJSON,
    content: [UInt8],
    id: Int32
  ) throws(TesseraError) {
    guard let first = content.first else { return }
    byteCount += content.count
    guard content.count <= Self.limits.one, byteCount <= Self.limits.all else {
      throw .field("added_tokens", "tokens of at most \(Self.limits.one) bytes")
    }
    func flag(_ name: String) -> Bool { json[name]?.bool ?? false }
    trie.insert(content, Int32(tokens.count))
    firsts[Int(first)] = true
    tokens.append(
      Token(
        id: id,
        isSpecial: flag("special"),
        isWord: flag("single_word"),
        strips: (flag("lstrip"), flag("rstrip"))
      )
    )
  }

  /// Cuts a text: runs of it, with an id where the run is a token.
  func cut(_ text: [UInt8]) -> [(range: Range<Int>, id: Int32?)] {
    var parts: [(range: Range<Int>, id: Int32?)] = []
    var (position, last) = (0, 0)
    while position < text.count {
      guard firsts[Int(text[position])], let (end, token) = longest(text, position) else {
        position += 1
        continue
      }
      let start = position
      position = end
      if token.isSpecial { continue }
      if token.isWord, isWord(text, before: start) || isWord(text, behind: end) { continue }
      var (low, high) = (start, end)
      while token.strips.left, low > last {
        let before = UTF8Scalars.before(text, low)
        guard ScalarClass(UTF8Scalars.decode(text, before).scalar).isSpace else { break }
        low = before
      }
      while token.strips.right, high < text.count {
        let (scalar, next) = UTF8Scalars.decode(text, high)
        guard ScalarClass(scalar).isSpace else { break }
        high = next
      }
      if last < low { parts.append((last..<low, nil)) }
      parts.append((low..<high, token.id))
      last = high
      position = max(position, high)
    }
    if last < text.count { parts.append((last..<text.count, nil)) }
    return parts
  }

  private func longest(_ text: [UInt8], _ start: Int) -> (Int, Token)? {
    var found: (Int, Token)?
    trie.forEachPrefix(of: text, at: start) { end, index in found = (end, tokens[Int(index)]) }
    return found
  }

  private func isWord(_ text: [UInt8], before position: Int) -> Bool {
    guard position > 0 else { return false }
    let before = UTF8Scalars.before(text, position)
    return ScalarClass(UTF8Scalars.decode(text, before).scalar).isWord
  }

  private func isWord(_ text: [UInt8], behind position: Int) -> Bool {
    position < text.count && ScalarClass(UTF8Scalars.decode(text, position).scalar).isWord
  }
}
