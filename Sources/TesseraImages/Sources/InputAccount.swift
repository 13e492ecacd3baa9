/// What was met beside the inputs: with them it adds up to every file and link of the folders, lists and archives.
public struct InputAccount: Hashable, Sendable {
  /// Why a file or link is no input.
  public enum Kind: String, Codable, Hashable, Sendable, CaseIterable, CodingKeyRepresentable {
    /// A hidden or system file, or one in such a folder: `ImageSelection.hidden` takes them.
    case hidden
    /// A file that a pattern of the user's leaves out.
    case excluded
    /// A link that is not followed: out of the folder, to nothing, or to what was listed already.
    case link
    /// A link to a folder that is not entered.
    case linkedFolder = "linked_folder"
    /// A file without a picture's ending that may not be read: nobody knows what it is.
    case unreadable
    /// No picture, by its ending and by its first bytes.
    case other
  }

  /// The captions beside pictures.
  public private(set) var captions = 0
  /// How many files and links were passed over, by kind and by ending: `.txt`, or the empty text for none.
  public private(set) var passedOver: [Kind: [String: Int]] = [:]

  /// Begins with nothing.
  public init() {}

  /// All files and links that were passed over.
  public var total: Int { passedOver.values.reduce(0) { $0 + $1.values.reduce(0, +) } }

  mutating func addCaption() { captions += 1 }

  mutating func add(_ other: InputAccount) {
    captions += other.captions
    for (kind, endings) in other.passedOver {
      passedOver[kind, default: [:]].merge(endings, uniquingKeysWith: +)
    }
  }

  mutating func add(_ kind: Kind, _ name: some Sequence<UInt8>) {
    passedOver[kind, default: [:]][Self.ending(of: Array(name)), default: 0] += 1
  }

  /// The longest ending that is counted as one.
  private static let longestEnding = 12

  /// The ending of a name in lower case, with its dot; empty where it has none that is a word.
  static func ending(of name: [UInt8]) -> String {
    let base = name[((name.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1)...]
    guard let dot = base.lastIndex(of: UInt8(ascii: ".")), dot > base.startIndex else { return "" }
    let word = base[(dot + 1)...]
    let isWord = word.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    guard isWord, (1...longestEnding).contains(word.count) else { return "" }
    return "." + String(decoding: word, as: UTF8.self).lowercased()
  }
}

extension InputAccount: Codable {
  private enum CodingKeys: String, CodingKey {
    case captions = "caption_files"
    case total = "passed_over"
    case kinds = "passed_over_by_kind"
  }

  /// The most endings of a kind that are named; the rarer ones are counted together as `*`.
  private static let mostEndings = 100

  /// Reads an account, or what stands of it in a larger object.
  ///
  /// - Throws: `DecodingError` where a count is negative or beyond 2^53.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    captions = try container.decodeIfPresent(Int.self, forKey: .captions) ?? 0
    passedOver =
      try container.decodeIfPresent([Kind: [String: Int]].self, forKey: .kinds) ?? [:]
    let counts = passedOver.values.flatMap(\.values) + [captions]
    guard counts.allSatisfy({ (0...1 << 53).contains($0) }), counts.count <= 1 << 10 else {
      throw DecodingError.dataCorruptedError(
        forKey: .kinds,
        in: container,
        debugDescription: "a count is out of range, 0 to 2^53, or there are too many"
      )
    }
  }

  /// Writes three fields where something was passed over, and none where nothing was.
  public func encode(to encoder: any Encoder) throws {
    guard total > 0 else { return }
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(captions, forKey: .captions)
    try container.encode(total, forKey: .total)
    try container.encode(passedOver.mapValues(Self.named), forKey: .kinds)
  }

  private static func named(_ endings: [String: Int]) -> [String: Int] {
    guard endings.count > mostEndings else { return endings }
    let ranked = ranked(endings)
    var named = Dictionary(
      uniqueKeysWithValues: ranked[..<(mostEndings - 1)].map { ($0.key, $0.value) }
    )
    named["*"] = ranked.dropFirst(mostEndings - 1).reduce(0) { $0 + $1.value }
    return named
  }

  /// The endings, the most frequent first.
  private static func ranked(_ endings: [String: Int]) -> [(key: String, value: Int)] {
    endings.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
  }
}

extension InputAccount {
  /// The line for the reader of a summary; nil where nothing was passed over.
  public var text: String? {
    let parts = Kind.allCases.compactMap { kind in
      passedOver[kind].map { "\(kind.text) \($0.values.reduce(0, +)) (\(Self.text(of: $0)))" }
    }
    guard !parts.isEmpty else { return nil }
    let captions = captions > 0 ? "; \(captions) captions beside pictures" : ""
    return "passed over \(total) files: \(parts.joined(separator: ", "))\(captions)"
  }

  /// How many endings a line names.
  private static let shownEndings = 8

  private static func text(of endings: [String: Int]) -> String {
    let ranked = ranked(endings)
    var words = ranked.prefix(shownEndings).map { ending, count in
      "\(count) \(ending.isEmpty ? "without an ending" : ending)"
    }
    let rest = ranked.dropFirst(shownEndings).reduce(0) { $0 + $1.value }
    if rest > 0 { words.append("\(rest) of other endings") }
    return words.joined(separator: ", ")
  }
}

extension InputAccount.Kind {
  /// What a summary calls it, with the option that changes it.
  fileprivate var text: String {
    switch self {
    case .hidden: "hidden or system files (--hidden takes them)"
    case .excluded: "excluded"
    case .link: "links out of the folder (--follow-links follows them)"
    case .linkedFolder: "links to folders (--follow-links enters them)"
    case .unreadable: "not readable"
    case .other: "no pictures"
    }
  }
}
