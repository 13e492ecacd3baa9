import TesseraCore

/// The model of a tokenizer: pieces of text to ids.
enum TextModel: Sendable {
  case pairs(PairMerging)
  case unigram(UnigramModel)
  case words(WordPieces)

  /// Reads the `model` of a tokenizer file.
  ///
  /// - Throws: `TesseraError` that names what is not supported.
  init(
    _ json: TokenizerJSON,
    vocabulary: TextVocabulary,
    isByteLevel: Bool
  ) throws(TesseraError) {
    switch Self.type(of: json) {
    case "BPE":
      self = .pairs(try PairMerging(json, vocabulary: vocabulary, isByteLevel: isByteLevel))
    case "Unigram":
      guard !isByteLevel else { throw .unsupported("Unigram behind ByteLevel") }
      self = .unigram(try UnigramModel(json, vocabulary: vocabulary))
    case "WordPiece", "WordLevel":
      guard !isByteLevel else { throw .unsupported("WordPiece behind ByteLevel") }
      self = .words(try WordPieces(json, vocabulary: vocabulary))
    case let type: throw .unsupported("the model '\(type)'")
    }
  }

  /// The name of the model; old files leave it out.
  static func type(of json: TokenizerJSON) -> String {
    if let type = json["type"]?.text { return type }
    if json["merges"] != nil { return "BPE" }
    if json["vocab"]?.array != nil { return "Unigram" }
    return json["continuing_subword_prefix"] != nil ? "WordPiece" : "WordLevel"
  }

  /// Appends the ids of a piece.
  func encode(_ text: [UInt8], _ piece: Range<Int>, into ids: inout [Int32]) {
    switch self {
    case .pairs(let model): model.encode(text, piece, into: &ids)
    case .unigram(let model): model.encode(text, piece, into: &ids)
    case .words(let model): model.encode(text, piece, into: &ids)
    }
  }
}

/// SentencePiece's unigram model as `tokenizers` runs it: the likeliest way to cut a piece.
struct UnigramModel: Sendable {
  private var trie = ByteTrie()
  private var scores: [Double] = []
  private let unknown: Int32
  private let unknownScore: Double
  /// The ids of bytes that stand for themselves; -1 where a byte has none.
  private let fallbacks: [Int32]?

  /// The longest piece: a text is compared with the pieces at each place.
  private static let longestPiece = 512

  init(_ json: TokenizerJSON, vocabulary: TextVocabulary) throws(TesseraError) {
    guard let entries = json["vocab"]?.array, let unknown = json["unk_id"]?.integer,
      entries.indices.contains(unknown)
    else { throw .field("model", "Unigram with vocab and unk_id") }
    self.unknown = Int32(unknown)
    for (id, entry) in entries.enumerated() {
      guard let pair = entry.array, pair.count == 2, let name = pair[0].bytes,
        let score = pair[1].number
      else { throw .field("vocab[\(id)]", "a name and a score") }
      scores.append(score)
      // The reference would find `</s>` in a text; here no text becomes a control token.
      guard name.count <= Self.longestPiece else {
        throw .field("vocab[\(id)]", "a name of at most \(Self.longestPiece) bytes")
      }
      if !name.isEmpty, !vocabulary.special.contains(Int32(id)) { trie.insert(name, Int32(id)) }
    }
    unknownScore = (scores.min() ?? 0) - 10
    fallbacks = json["byte_fallback"]?.bool == true ? vocabulary.fallbacks : nil
  }

  /// The names and ids of the vocabulary of a file.
  static func members(_ json: TokenizerJSON) -> [(key: [UInt8], value: TokenizerJSON)] {
    (json["vocab"]?.array ?? []).enumerated().compactMap { id, entry in
      entry.array?.first?.bytes.map { ($0, .number(Double(id))) }
    }
  }

  func encode(_ text: [UInt8], _ piece: Range<Int>, into ids: inout [Int32]) {
    let own = piece == text.indices ? text : Array(text[piece])
    let best = BestEnds(own, trie, scores, unknown: unknown, unknownScore)
    for (start, end, id) in best.way.reversed() {
      if id == unknown, let fallbacks, own[start..<end].allSatisfy({ fallbacks[Int($0)] >= 0 }) {
        for index in start..<end { ids.append(fallbacks[Int(own[index])]) }
      } else {
        ids.append(id)
      }
    }
  }
}

/// The likeliest token that ends at each place of a piece.
private struct BestEnds {
  private let unknown: Int32
  private var scores: [Double]
  private var starts: [Int]
  private var tokens: [Int32]

  /// Finds them from the beginning to the end.
  init(
    _ piece: [UInt8],
    _ trie: ByteTrie,
    _ tokenScores: [Double],
    unknown: Int32,
    _ unknownScore: Double
  ) {
    let count = piece.count
    self.unknown = unknown
    scores = [Double](repeating: 0, count: count + 1)
    starts = [Int](repeating: -1, count: count + 1)
    tokens = [Int32](repeating: 0, count: count + 1)
    var position = 0
    while position < count {
      let next = UTF8Scalars.decode(piece, position).next
      let till = scores[position]
      var hasSingle = false
      trie.forEachPrefix(of: piece, at: position) { end, id in
        offer(id, from: position, to: end, tokenScores[Int(id)] + till)
        if end == next { hasSingle = true }
      }
      if !hasSingle { offer(unknown, from: position, to: next, unknownScore + till) }
      position = next
    }
  }

  /// Takes a token where it is likelier than the one that ends there.
  @inline(__always)
  private mutating func offer(_ id: Int32, from start: Int, to end: Int, _ score: Double) {
    guard starts[end] < 0 || score > scores[end] else { return }
    scores[end] = score
    starts[end] = start
    tokens[end] = id
  }

  /// The tokens of the likeliest way, from the end to the beginning; neighbours that are unknown are one.
  var way: [(start: Int, end: Int, id: Int32)] {
    var way: [(start: Int, end: Int, id: Int32)] = []
    var end = starts.count - 1
    while end > 0 {
      let (start, id) = (starts[end], tokens[end])
      if id == unknown, let last = way.last, last.id == unknown {
        way[way.count - 1] = (start, last.end, id)
      } else {
        way.append((start, end, id))
      }
      end = start
    }
    return way
  }
}

/// WordPiece: the longest known beginning, again and again; WordLevel: whole words.
struct WordPieces: Sendable {
  private let vocabulary: TextVocabulary
  private let unknown: Int32
  /// The names that begin a word, and those that go on with one, without their prefix.
  private var (beginnings, others) = (ByteTrie(), ByteTrie())
  private let longest: Int
  private let isWhole: Bool

  /// The longest words that a file may ask for: the time for one grows with the square of its length.
  private static let mostCharacters = 1000

  init(_ json: TokenizerJSON, vocabulary: TextVocabulary) throws(TesseraError) {
    guard let unknown = json["unk_token"]?.bytes.flatMap(vocabulary.id) else {
      throw .field("unk_token", "a token of the vocabulary")
    }
    (self.unknown, self.vocabulary) = (unknown, vocabulary)
    let prefix = json["continuing_subword_prefix"]?.bytes ?? Array("##".utf8)
    longest = json["max_input_chars_per_word"].map { $0.integer ?? -1 } ?? 100
    guard (0...Self.mostCharacters).contains(longest) else {
      throw .field("max_input_chars_per_word", "a number from 0 to \(Self.mostCharacters)")
    }
    isWhole = TextModel.type(of: json) == "WordLevel"
    if isWhole { return }
    var (beginnings, others) = (ByteTrie(), ByteTrie())
    vocabulary.names.forEach { name, id in
      guard !vocabulary.special.contains(id) else { return }
      beginnings.insert(name, id)
      if name.starts(with: prefix) { others.insert(name.dropFirst(prefix.count), id) }
    }
    (self.beginnings, self.others) = (beginnings, others)
  }

  private func find(_ bytes: [UInt8], _ range: Range<Int>) -> Int32? {
    guard let id = vocabulary.names.find(bytes, range), !vocabulary.special.contains(id) else {
      return nil
    }
    return id
  }

  func encode(_ text: [UInt8], _ piece: Range<Int>, into ids: inout [Int32]) {
    if isWhole {
      ids.append(find(text, piece) ?? unknown)
      return
    }
    let count = piece.count { text[$0] & 0xC0 != 0x80 }
    guard count <= longest else {
      ids.append(unknown)
      return
    }
    let before = ids.count
    var start = piece.lowerBound
    while start < piece.upperBound {
      var found: (end: Int, id: Int32)?
      let names = start == piece.lowerBound ? beginnings : others
      names.forEachPrefix(of: text, at: start, upTo: piece.upperBound) { found = ($0, $1) }
      guard let (end, id) = found, end > start else {
        ids.removeSubrange(before...)
        ids.append(unknown)
        return
      }
      ids.append(id)
      start = end
    }
  }
}
