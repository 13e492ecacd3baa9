import TesseraCore

/// One step of a tokenizer's splitting before its model.
enum TextSplitter: Sendable {
  case pattern(TextPattern, SplitBehavior, isInverted: Bool)
  case literal([UInt8], SplitBehavior, isInverted: Bool)
  case whitespace
  case bert
  case punctuation(SplitBehavior)
  case digits(individual: Bool)
  case metaspace([UInt8], prepend: Prepending, splits: Bool)
  case byteLevel(addsPrefixSpace: Bool, pattern: TextPattern?)

  /// When Metaspace puts its mark in front.
  enum Prepending: String, Sendable { case always, first, never }

  /// GPT-2's pattern, which ByteLevel has built in.
  static let gpt2 =
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  private static let words = #"\w+|[^\w\s]+"#

  /// Reads the `pre_tokenizer` of a tokenizer file: its steps in order.
  static func steps(_ json: TokenizerJSON) throws(TesseraError) -> [TextSplitter] {
    guard let type = json["type"]?.text else { throw .field("pre_tokenizer.type", "a name") }
    switch type {
    case "Sequence": return try sequence(json)
    case "ByteLevel":
      let pattern = json["use_regex"]?.bool ?? true ? try TextPattern(gpt2) : nil
      return [.byteLevel(addsPrefixSpace: json["add_prefix_space"]?.bool ?? true, pattern: pattern)]
    case "Split": return [try split(json)]
    case "Whitespace": return [.pattern(try TextPattern(words), .removed, isInverted: true)]
    case "WhitespaceSplit": return [.whitespace]
    case "BertPreTokenizer": return [.bert]
    case "Punctuation": return [.punctuation(try behavior(json))]
    case "Digits": return [.digits(individual: json["individual_digits"]?.bool ?? false)]
    case "Metaspace": return [try metaspace(json)]
    default: throw .unsupported("the pre-tokenizer '\(type)'")
    }
  }

  /// The most steps: each walks through every text.
  private static let mostSteps = 64

  private static func sequence(_ json: TokenizerJSON) throws(TesseraError) -> [TextSplitter] {
    var steps: [TextSplitter] = []
    for part in json["pretokenizers"]?.array ?? [] {
      // It would see the letters that ByteLevel writes bytes with.
      if case .byteLevel? = steps.last {
        throw .unsupported("a pre-tokenizer behind ByteLevel")
      }
      steps += try Self.steps(part)
      guard steps.count <= mostSteps else {
        throw .unsupported("a pre-tokenizer of more than \(mostSteps) steps")
      }
    }
    return steps
  }

  private static func behavior(_ json: TokenizerJSON) throws(TesseraError) -> SplitBehavior {
    guard let name = json["behavior"]?.text else { return .isolated }
    guard let behavior = SplitBehavior(rawValue: name) else {
      throw .unsupported("the behavior '\(name)'")
    }
    return behavior
  }

  private static func split(_ json: TokenizerJSON) throws(TesseraError) -> TextSplitter {
    let isInverted = json["invert"]?.bool ?? false
    if let pattern = json["pattern"]?["Regex"]?.text {
      return .pattern(try TextPattern(pattern), try behavior(json), isInverted: isInverted)
    }
    guard let text = json["pattern"]?["String"]?.bytes else {
      throw .field("pattern", "a String or a Regex")
    }
    return .literal(text, try behavior(json), isInverted: isInverted)
  }

  private static func metaspace(_ json: TokenizerJSON) throws(TesseraError) -> TextSplitter {
    guard let text = json["replacement"]?.text, text.unicodeScalars.count == 1 else {
      throw .field("replacement", "one character")
    }
    var prepending = Prepending.always
    if let name = json["prepend_scheme"]?.text {
      guard let known = Prepending(rawValue: name) else {
        throw .unsupported("the prepend_scheme '\(name)'")
      }
      prepending = known
    } else if json["add_prefix_space"]?.bool == false {
      prepending = .never
    }
    let splits = json["split"]?.bool ?? true
    return .metaspace(Array(text.utf8), prepend: prepending, splits: splits)
  }
}

/// A text cut into pieces, which splitters cut further.
struct SplitText {
  /// The text, where splitters that change it have put theirs.
  var text: [UInt8]
  /// The pieces in order.
  var pieces: [Range<Int>]
  /// Whether the first piece is the beginning of what the user gave.
  let isBeginning: Bool
}

/// Runs the steps of a splitter; keeps the stacks of its patterns.
struct SplitterRun: Sendable {
  private let steps: [TextSplitter]
  private var matchers: [TextPatternMatcher?]

  init(_ steps: [TextSplitter]) {
    self.steps = steps
    matchers = steps.map { step in
      switch step {
      case .pattern(let pattern, _, _), .byteLevel(_, let pattern?): TextPatternMatcher(pattern)
      default: nil
      }
    }
  }

  /// Applies every step.
  mutating func apply(to split: inout SplitText) throws(TesseraError) {
    for index in steps.indices { try apply(index, to: &split) }
  }

  private mutating func apply(
    _ index: Int,
    to split: inout SplitText
  ) throws(TesseraError) {
    var pieces: [Range<Int>] = []
    switch steps[index] {
    case .pattern(_, let behavior, let isInverted):
      for piece in split.pieces {
        let matches = try find(index, in: split.text, piece)
        behavior.cut(piece, by: matches, isInverted: isInverted, into: &pieces)
      }
    case .literal(let literal, let behavior, let isInverted):
      for piece in split.pieces {
        let matches = Self.find(literal, in: split.text, piece)
        behavior.cut(piece, by: matches, isInverted: isInverted, into: &pieces)
      }
    case .whitespace:
      cut(split, .removed, into: &pieces) { $0.isSpace }
    case .bert:
      cut(split, .removed, into: &pieces) { $0.isSpace }
      split.pieces = pieces
      pieces = []
      cutPunctuation(split, .isolated, into: &pieces)
    case .punctuation(let behavior): cutPunctuation(split, behavior, into: &pieces)
    case .digits(let individual):
      cut(split, individual ? .isolated : .contiguous, into: &pieces) {
        $0.mask & ScalarClass.numbers != 0
      }
    case .metaspace(let mark, let prepending, let splits):
      return applyMetaspace(mark, prepending, splits, to: &split)
    case .byteLevel(let addsPrefixSpace, let pattern):
      if addsPrefixSpace { Self.addSpaces(to: &split) }
      guard pattern != nil else { return }
      for piece in split.pieces {
        let matches = try find(index, in: split.text, piece)
        SplitBehavior.isolated.cut(piece, by: matches, into: &pieces)
      }
    }
    split.pieces = pieces
  }

  /// The matches of a step's pattern inside of a piece, which is a text of its own to it.
  private mutating func find(
    _ index: Int,
    in text: [UInt8],
    _ piece: Range<Int>
  ) throws(TesseraError) -> [Range<Int>] {
    // A pattern looks ahead: it must not see what is behind its piece.
    guard piece != text.indices else { return try matchers[index]?.matches(in: text) ?? [] }
    let start = piece.lowerBound
    let own = try matchers[index]?.matches(in: Array(text[piece])) ?? []
    return own.map { $0.lowerBound + start..<$0.upperBound + start }
  }

  private static func find(_ literal: [UInt8], in text: [UInt8], _ piece: Range<Int>) -> [Range<
    Int
  >] {
    ByteSearch.places(of: literal, in: text, piece).map { $0..<$0 + literal.count }
  }

  private func cut(
    _ split: SplitText,
    _ behavior: SplitBehavior,
    into pieces: inout [Range<Int>],
    _ isMatch: (ScalarClass) -> Bool
  ) {
    for piece in split.pieces {
      var matches: [Range<Int>] = []
      var position = piece.lowerBound
      while position < piece.upperBound {
        let (scalar, next) = UTF8Scalars.decode(split.text, position)
        if isMatch(ScalarClass(scalar)) { matches.append(position..<next) }
        position = next
      }
      behavior.cut(piece, by: matches, into: &pieces)
    }
  }

  private func cutPunctuation(
    _ split: SplitText,
    _ behavior: SplitBehavior,
    into pieces: inout [Range<Int>]
  ) {
    for piece in split.pieces {
      var matches: [Range<Int>] = []
      var position = piece.lowerBound
      while position < piece.upperBound {
        let (scalar, next) = UTF8Scalars.decode(split.text, position)
        // All of ASCII's marks count, symbols too.
        let isASCII =
          (33...47).contains(scalar) || (58...64).contains(scalar)
          || (91...96).contains(scalar) || (123...126).contains(scalar)
        if isASCII || ScalarClass(scalar).mask & ScalarClass.punctuation != 0 {
          matches.append(position..<next)
        }
        position = next
      }
      behavior.cut(piece, by: matches, into: &pieces)
    }
  }

  private static func addSpaces(to split: inout SplitText) {
    var text: [UInt8] = []
    var pieces: [Range<Int>] = []
    for piece in split.pieces where !piece.isEmpty {
      let start = text.count
      if split.text[piece.lowerBound] != 0x20 { text.append(0x20) }
      text += split.text[piece]
      pieces.append(start..<text.count)
    }
    split.text = text
    split.pieces = pieces
  }

  private func applyMetaspace(
    _ mark: [UInt8],
    _ prepending: TextSplitter.Prepending,
    _ splits: Bool,
    to split: inout SplitText
  ) {
    var text: [UInt8] = []
    var pieces: [Range<Int>] = []
    for (index, piece) in split.pieces.enumerated() where !piece.isEmpty {
      let start = text.count
      let marked = TextNormalizer.replaced(Array(split.text[piece]), [0x20], mark)
      let isFirst = split.isBeginning && index == 0
      if prepending == .always || prepending == .first && isFirst, !marked.starts(with: mark) {
        text += mark
      }
      text += marked
      let whole = start..<text.count
      if splits {
        let matches = Self.find(mark, in: text, whole)
        SplitBehavior.mergedWithNext.cut(whole, by: matches, into: &pieces)
      } else {
        pieces.append(whole)
      }
    }
    split.text = text
    split.pieces = pieces
  }
}
