import TesseraCore

/// Byte-pair encoding: neighbours are merged by rank, the leftmost first among equals.
struct PairMerging: Sendable {
  /// Ids by what they stand for: bytes under ByteLevel, the name itself otherwise.
  private var symbols: ByteStringTable
  /// The id of each single byte; -1 where it has none.
  private var singles = [Int32](repeating: -1, count: 256)
  /// Rank and result by pair: an open table, keys plus 1.
  private var keys: [UInt64]
  private var merges: [(rank: Int32, id: Int32)]
  private var used = 0

  private let isByteLevel: Bool
  private let ignoresMerges: Bool
  private let fusesUnknown: Bool
  private let unknown: Int32?
  /// The ids of bytes that stand for themselves; -1 where a byte has none.
  private let fallbacks: [Int32]?
  private let suffix: [UInt8]
  private let special: Set<Int32>

  /// Reads the `model` of a tokenizer file.
  init(
    _ json: TokenizerJSON,
    vocabulary: TextVocabulary,
    isByteLevel: Bool
  ) throws(TesseraError) {
    guard (json["dropout"]?.number ?? 0) == 0 else { throw .unsupported("BPE with dropout") }
    guard json["continuing_subword_prefix"]?.bytes?.isEmpty ?? true else {
      throw .unsupported("BPE with a continuing_subword_prefix")
    }
    guard let names = json["vocab"]?.members, let pairs = json["merges"]?.array else {
      throw .field("model", "BPE with vocab and merges")
    }
    self.isByteLevel = isByteLevel
    ignoresMerges = json["ignore_merges"]?.bool ?? false
    fusesUnknown = json["fuse_unk"]?.bool ?? false
    suffix = json["end_of_word_suffix"]?.bytes ?? []
    special = vocabulary.special
    unknown = json["unk_token"]?.bytes.flatMap(vocabulary.id)
    fallbacks = json["byte_fallback"]?.bool == true ? vocabulary.fallbacks : nil
    symbols = ByteStringTable(minimumCapacity: names.count)
    var size = 1024
    while size < pairs.count * 2 { size *= 2 }
    keys = [UInt64](repeating: 0, count: size)
    merges = [(Int32, Int32)](repeating: (0, 0), count: size)
    for (name, value) in names {
      guard let id = value.integer.map({ Int32($0) }) else { continue }
      guard let symbol = isByteLevel ? ByteAlphabet.bytes(of: name) : name else { continue }
      symbols.insert(symbol, id)
      if symbol.count == 1 { singles[Int(symbol[0])] = id }
    }
    for (rank, pair) in pairs.enumerated() { try add(pair, rank: Int32(rank), vocabulary) }
  }

  private mutating func add(
    _ pair: TokenizerJSON,
    rank: Int32,
    _ vocabulary: TextVocabulary
  ) throws(TesseraError) {
    var parts: [[UInt8]] = []
    if let text = pair.bytes {
      parts = text.split(separator: 0x20, omittingEmptySubsequences: false).map(Array.init)
    } else if let list = pair.array {
      parts = list.compactMap(\.bytes)
    }
    guard parts.count == 2, let left = vocabulary.id(of: parts[0]),
      let right = vocabulary.id(of: parts[1]), let merged = vocabulary.id(of: parts[0] + parts[1])
    else { throw .field("merges[\(rank)]", "a pair of tokens whose union is a token") }
    let key = Self.key(left, right)
    var slot = Self.start(key, keys.count - 1)
    while keys[slot] != 0, keys[slot] != key { slot = (slot + 1) & (keys.count - 1) }
    // As in the reference, the later of two equal pairs counts.
    keys[slot] = key
    merges[slot] = (rank, merged)
  }

  private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right)) + 1
  }

  private static func start(_ key: UInt64, _ mask: Int) -> Int {
    Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
  }

  @inline(__always)
  private func merge(_ left: Int32, _ right: Int32) -> (rank: Int32, id: Int32)? {
    if left < 0 || right < 0 { return nil }
    let key = Self.key(left, right)
    let mask = keys.count - 1
    var slot = Self.start(key, mask)
    while keys[slot] != 0 {
      if keys[slot] == key { return merges[slot] }
      slot = (slot + 1) & mask
    }
    return nil
  }

  /// Appends the ids of a piece.
  func encode(_ text: [UInt8], _ piece: Range<Int>, into ids: inout [Int32]) {
    if ignoresMerges, let id = symbols.find(text, piece), !special.contains(id) {
      ids.append(id)
      return
    }
    var word: [Int32] = []
    word.reserveCapacity(piece.count)
    if isByteLevel, suffix.isEmpty {
      for index in piece {
        let id = singles[Int(text[index])]
        if id >= 0 { word.append(id) } else if let unknown { word.append(unknown) }
      }
    } else {
      append(text, piece, to: &word)
    }
    if word.count <= 48 { mergeShort(&word) } else { mergeLong(&word) }
    ids += word
  }

  /// The first symbols of a piece: its scalars, the last one with the suffix.
  private func append(_ text: [UInt8], _ piece: Range<Int>, to word: inout [Int32]) {
    var position = piece.lowerBound
    var endsUnknown = false
    while position < piece.upperBound {
      // Under ByteLevel each byte is a letter of its own.
      let next = isByteLevel ? position + 1 : UTF8Scalars.decode(text, position).next
      let id: Int32?
      if next == piece.upperBound, !suffix.isEmpty {
        id = symbols.find(Array(text[position..<next]) + suffix)
      } else {
        id = symbols.find(text, position..<next)
      }
      if let id {
        word.append(id)
        endsUnknown = false
      } else if let fallbacks, text[position..<next].allSatisfy({ fallbacks[Int($0)] >= 0 }) {
        for index in position..<next { word.append(fallbacks[Int(text[index])]) }
        endsUnknown = false
      } else if let unknown {
        if !(endsUnknown && fusesUnknown) { word.append(unknown) }
        endsUnknown = true
      }
      position = next
    }
  }

  /// Looks through all pairs for each merge: the fastest way for words.
  private func mergeShort(_ word: inout [Int32]) {
    guard word.count > 1 else { return }
    var found = (0..<word.count - 1).map { merge(word[$0], word[$0 + 1]) }
    while true {
      var best = -1
      var rank = Int32.max
      for index in found.indices {
        if let candidate = found[index], candidate.rank < rank {
          rank = candidate.rank
          best = index
        }
      }
      guard best >= 0, let id = found[best]?.id else { return }
      word[best] = id
      word.remove(at: best + 1)
      found.remove(at: best)
      if best < found.count { found[best] = merge(word[best], word[best + 1]) }
      if best > 0 { found[best - 1] = merge(word[best - 1], word[best]) }
    }
  }

  /// Keeps the pairs in a heap: for texts that are one piece.
  private func mergeLong(_ word: inout [Int32]) {
    let count = word.count
    var next = (1...count).map { $0 < count ? $0 : -1 }
    var previous = (0..<count).map { $0 - 1 }
    var heap = MergeHeap()
    func push(_ word: [Int32], _ left: Int, _ right: Int) {
      if let merge = merge(word[left], word[right]) { heap.push(merge.rank, left, merge.id) }
    }
    for index in 0..<count - 1 { push(word, index, index + 1) }
    while let (left, id) = heap.pop() {
      guard word[left] >= 0, next[left] >= 0 else { continue }
      let right = next[left]
      // An entry from before a neighbour changed.
      guard merge(word[left], word[right])?.id == id else { continue }
      word[left] = id
      word[right] = -2
      next[left] = next[right]
      if next[left] >= 0 {
        previous[next[left]] = left
        push(word, left, next[left])
      }
      if previous[left] >= 0 { push(word, previous[left], left) }
    }
    word.removeAll { $0 == -2 }
  }
}

/// Merges by rank, then place.
private struct MergeHeap {
  private var items: [(order: UInt64, id: Int32)] = []

  mutating func push(_ rank: Int32, _ place: Int, _ id: Int32) {
    items.append((UInt64(UInt32(bitPattern: rank)) << 32 | UInt64(place), id))
    var child = items.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard items[child].order < items[parent].order else { return }
      items.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> (place: Int, id: Int32)? {
    guard let top = items.first else { return nil }
    let last = items.removeLast()
    if !items.isEmpty {
      items[0] = last
      var parent = 0
      while true {
        var least = parent
        for child in [2 * parent + 1, 2 * parent + 2] where child < items.count {
          if items[child].order < items[least].order { least = child }
        }
        guard least != parent else { break }
        items.swapAt(least, parent)
        parent = least
      }
    }
    return (Int(top.order & 0xFFFF_FFFF), top.id)
  }
}
