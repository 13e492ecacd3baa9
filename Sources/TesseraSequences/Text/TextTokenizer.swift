import Foundation
package import TesseraCore

/// A user's own text tokenizer: a `tokenizer.json` or a SentencePiece model, captions to ids.
///
/// Ids equal those of `tokenizers` and `sentencepiece`, with one rule of our own: special tokens are
/// text inside of a text, so no caption can write a control token. Truncation, padding and what a
/// template puts around a text are not applied.
public struct TextTokenizer: Sendable {
  /// The SHA-256 of the file, 64 hexadecimal digits.
  public let sha256: String
  /// Every id is below this.
  public let vocabularySize: Int

  private let kind: Kind

  private enum Kind: Sendable {
    case file(TokenizerFile)
    case sentencePiece(SentencePieceModel)
  }

  /// The largest file that is read.
  private static let largestFile = 1 << 28

  /// Opens a file; what it is, its first byte says.
  ///
  /// - Parameter path: A `tokenizer.json`, a folder that holds one, or a SentencePiece `.model`.
  /// - Throws: `TesseraError` that names what is damaged or not supported.
  public init(opening path: String) throws {
    var isFolder: ObjCBool = false
    _ = unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    let file = isFolder.boolValue ? path + "/tokenizer.json" : path
    let whole = try FileDigest.bytes(of: file, maximumBytes: Self.largestFile)
    if let words = FailedDownload.words(for: whole.prefix(256)) {
      throw TesseraError.malformed(words, file: file)
    }
    sha256 = FileDigest.sha256(of: whole)
    let bytes = try TextFile.unmarked(whole, from: file)
    let isJSON = bytes.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) } == UInt8(ascii: "{")
    do {
      if isJSON {
        let tokenizer = try TokenizerFile(TokenizerJSON(parsing: bytes))
        kind = .file(tokenizer)
        vocabularySize = tokenizer.vocabulary.size
      } else {
        let model = try SentencePieceModel(bytes)
        kind = .sentencePiece(model)
        vocabularySize = model.size
      }
    } catch {
      throw error.in(file)
    }
  }

  /// The id of a token by its name.
  public func id(of name: String) -> Int? {
    switch kind {
    case .file(let file): file.vocabulary.id(of: Array(name.utf8)).map { Int($0) }
    case .sentencePiece(let model): model.id(of: name)
    }
  }

  /// The tokens whose names are a number between a prefix and a suffix, by that number.
  ///
  /// - Parameters:
  ///   - prefix: What the names begin with.
  ///   - suffix: What they end with.
  ///   - letters: Whether the digits are written A to J, as Chameleon does.
  /// - Returns: Ids by number; none where the file is a SentencePiece model.
  public func numberedTokens(prefix: String, suffix: String, letters: Bool) -> [Int: Int32] {
    guard case .file(let file) = kind else { return [:] }
    let names = NumberedNames(prefix: prefix, suffix: suffix, letters: letters)
    var found: [Int: Int32] = [:]
    file.vocabulary.names.forEach { name, id in
      if let number = names.number(of: name) { found[number] = id }
    }
    return found
  }

  /// An encoder, which keeps what it learned of words: one per task.
  package func makeEncoder() -> TextEncoder {
    switch kind {
    case .file(let file): TextEncoder(file: FileEncoder(file))
    case .sentencePiece(let model): TextEncoder(model: model)
    }
  }
}

/// Turns texts into ids.
package struct TextEncoder: Sendable {
  private var file: FileEncoder?
  private var model: SentencePieceModel?

  init(file: FileEncoder) { self.file = file }
  init(model: SentencePieceModel) { self.model = model }

  /// The ids of a text.
  ///
  /// - Throws: `TesseraError` where a pattern of the file does not come to an end.
  package mutating func encode(_ text: String) throws(TesseraError) -> [Int32] {
    if let model { return try model.encode(Array(text.utf8)) }
    var ids: [Int32] = []
    try file?.encode(Array(text.utf8), into: &ids)
    return ids
  }
}

/// What a `tokenizer.json` says.
struct TokenizerFile: Sendable {
  let vocabulary: TextVocabulary
  let normalizer: TextNormalizer?
  let splitters: [TextSplitter]
  let model: TextModel
  /// Tokens that are looked for before the text is normalized, and behind it.
  let raw: AddedTokens
  let normalized: AddedTokens

  init(_ json: TokenizerJSON) throws(TesseraError) {
    guard let model = json["model"] else { throw .field("model", "there") }
    let members = model["vocab"]?.members ?? UnigramModel.members(model)
    guard !members.isEmpty else { throw .field("model.vocab", "a vocabulary") }
    var vocabulary = try TextVocabulary(members)
    normalizer = try json["normalizer"].map { json throws(TesseraError) in
      try TextNormalizer(json)
    }
    splitters =
      try json["pre_tokenizer"].map { json throws(TesseraError) in
        try TextSplitter.steps(json)
      } ?? []
    var (raw, normalized) = (AddedTokens(), AddedTokens())
    for token in json["added_tokens"]?.array ?? [] {
      guard let content = token["content"]?.bytes, let id = token["id"]?.integer else {
        throw .field("added_tokens", "tokens with content and id")
      }
      try vocabulary.add(content, id)
      if token["special"]?.bool == true { vocabulary.special.insert(Int32(id)) }
      if token["normalized"]?.bool ?? true {
        let text = try normalizer?.apply(to: content) ?? content
        try normalized.add(token, content: text, id: Int32(id))
      } else {
        try raw.add(token, content: content, id: Int32(id))
      }
    }
    // The unknown token is what a model itself writes.
    (self.raw, self.normalized) = (raw, normalized)
    self.vocabulary = vocabulary
    let isByteLevel = splitters.contains { if case .byteLevel = $0 { true } else { false } }
    self.model = try TextModel(model, vocabulary: vocabulary, isByteLevel: isByteLevel)
    try Self.check(postProcessor: json["post_processor"])
  }

  /// Refuses a post-processor that is not known.
  ///
  /// What the known ones put around a text is left out: begin and end are a layout's business.
  private static func check(postProcessor json: TokenizerJSON?) throws(TesseraError) {
    guard let json, let type = json["type"]?.text else { return }
    switch type {
    case "ByteLevel", "BertProcessing", "RobertaProcessing", "TemplateProcessing": return
    case "Sequence":
      for part in json["processors"]?.array ?? [] { try check(postProcessor: part) }
    default: throw .unsupported("the post-processor '\(type)'")
    }
  }
}

/// Runs a `tokenizer.json` over texts.
struct FileEncoder: Sendable {
  private let file: TokenizerFile
  private var splitter: SplitterRun
  /// Where the ids of pieces that were seen stand in `cached`.
  private var seen = ByteStringTable(minimumCapacity: 1 << 12)
  private var places: [Range<Int>] = []
  private var cached: [Int32] = []

  private static let longestCached = 64
  private static let mostCached = 1 << 16

  init(_ file: TokenizerFile) {
    self.file = file
    splitter = SplitterRun(file.splitters)
  }

  mutating func encode(_ text: [UInt8], into ids: inout [Int32]) throws(TesseraError) {
    if file.raw.isEmpty { return try encodeText(text, isBeginning: true, into: &ids) }
    for (range, id) in file.raw.cut(text) {
      if let id {
        ids.append(id)
      } else {
        let part = range == text.indices ? text : Array(text[range])
        try encodeText(part, isBeginning: range.lowerBound == 0, into: &ids)
      }
    }
  }

  private mutating func encodeText(
    _ text: [UInt8],
    isBeginning: Bool,
    into ids: inout [Int32]
  ) throws(TesseraError) {
    let text = try file.normalizer?.apply(to: text) ?? text
    if file.normalized.isEmpty { return try encodePieces(text, isBeginning, into: &ids) }
    for (range, id) in file.normalized.cut(text) {
      if let id {
        ids.append(id)
      } else {
        let part = range == text.indices ? text : Array(text[range])
        try encodePieces(part, isBeginning && range.lowerBound == 0, into: &ids)
      }
    }
  }

  private mutating func encodePieces(
    _ text: [UInt8],
    _ isBeginning: Bool,
    into ids: inout [Int32]
  ) throws(TesseraError) {
    guard !text.isEmpty else { return }
    var split = SplitText(text: text, pieces: [text.indices], isBeginning: isBeginning)
    try splitter.apply(to: &split)
    for piece in split.pieces where !piece.isEmpty {
      guard piece.count <= Self.longestCached else {
        file.model.encode(split.text, piece, into: &ids)
        continue
      }
      if let place = seen.find(split.text, piece) {
        ids += cached[places[Int(place)]]
        continue
      }
      let start = cached.count
      file.model.encode(split.text, piece, into: &cached)
      ids += cached[start...]
      seen.insert(split.text, piece, Int32(places.count))
      places.append(start..<cached.count)
      if places.count >= Self.mostCached {
        seen = ByteStringTable(minimumCapacity: 1 << 12)
        places.removeAll(keepingCapacity: true)
        cached.removeAll(keepingCapacity: true)
      }
    }
  }
}
