internal import TesseraCore

/// How documents of text and images become one sequence of ids: `schemas/sequence.schema.json`.
///
/// An image is `begin_of_image`, its size, `begin_of_codes`, its rows of codes, `end_of_frame`,
/// `end_of_image`; each part may be empty.
public struct SequenceLayout: Codable, Hashable, Sendable {
  /// A token by id, or by its name in the text tokenizer.
  public enum Token: Codable, Hashable, Sendable {
    case id(Int)
    case name(String)

    /// Reads a number or a string.
    public init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let id = try? container.decode(Int.self) {
        self = .id(id)
      } else {
        let name = try container.decode(String.self)
        guard name.utf8.count <= SequenceLayout.longestName else {
          throw SequenceLayout.fault("the name of a token has \(name.utf8.count) bytes", decoder)
        }
        self = .name(name)
      }
    }

    /// Writes a number or a string.
    public func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .id(let id): try container.encode(id)
      case .name(let name): try container.encode(name)
      }
    }
  }

  /// How an image's height and width are written.
  public struct Size: Codable, Hashable, Sendable {
    /// The text with `{height}` and `{width}`; nil where they are tokens.
    public let text: String?
    /// The name of a token with `{}` for the number; nil where the size is a text.
    public let token: String?
    /// What is added to the number of a token's name.
    public let base: Int?
    /// What height and width are divided by for a token's name.
    public let divisor: Int?
    /// The least number of digits of the number of a token's name.
    public let digits: Int?

    enum CodingKeys: String, CodingKey, CaseIterable {
      case text, token, base, divisor, digits
    }
  }

  /// What stands at the ends of the rows of codes.
  public struct EndOfLine: Codable, Hashable, Sendable {
    /// Whether the last row has one too.
    public enum Policy: String, Codable, Sendable {
      case every, between
    }
    /// The token.
    public let token: Token
    /// Where it stands.
    public let policy: Policy

    enum CodingKeys: String, CodingKey, CaseIterable {
      case token, policy
    }
  }

  /// How codes become ids.
  public enum Codes: Codable, Hashable, Sendable {
    /// Code and a number.
    case offset(Int)
    /// A list, one id per code.
    case table([Int])
    /// Tokens of the text tokenizer whose names have the code between a prefix and a suffix: as a
    /// number, or in Chameleon's digits A to J.
    case names(prefix: String, suffix: String, letters: Bool)
    /// Codes are a space of their own, in the column `image_codes`; this token holds their places.
    case separate(placeholder: Token)

    private enum Key: String, CodingKey, CaseIterable {
      case offset, table, names, separate, placeholder, prefix, suffix, letters
    }

    /// Reads `{"offset": N}`, `{"table": […]}`, `{"names": {"prefix", "suffix", "letters"}}` or
    /// `{"separate": {"placeholder": TOKEN}}`.
    public init(from decoder: any Decoder) throws {
      try decoder.refuseFields(besides: ["offset", "table", "names", "separate"])
      let fields = try decoder.container(keyedBy: Key.self)
      guard fields.allKeys.count == 1 else {
        throw SequenceLayout.fault("codes is one of offset, table, names and separate", decoder)
      }
      if let offset = try fields.decodeIfPresent(Int.self, forKey: .offset) {
        self = .offset(offset)
      } else if let table = try fields.decodeIfPresent([Int].self, forKey: .table) {
        self = .table(table)
      } else if fields.contains(.names) {
        let inner = try fields.superDecoder(forKey: .names)
        try inner.refuseFields(besides: ["prefix", "suffix", "letters"])
        let names = try inner.container(keyedBy: Key.self)
        let prefix = try names.decode(String.self, forKey: .prefix)
        let suffix = try names.decode(String.self, forKey: .suffix)
        guard prefix.utf8.count + suffix.utf8.count <= SequenceLayout.longestName else {
          throw SequenceLayout.fault("prefix and suffix are too long", inner)
        }
        self = .names(
          prefix: prefix,
          suffix: suffix,
          letters: try names.decodeIfPresent(Bool.self, forKey: .letters) ?? false
        )
      } else {
        let inner = try fields.superDecoder(forKey: .separate)
        try inner.refuseFields(besides: ["placeholder"])
        let separate = try inner.container(keyedBy: Key.self)
        self = .separate(placeholder: try separate.decode(Token.self, forKey: .placeholder))
      }
    }

    /// Writes what ``init(from:)`` reads.
    public func encode(to encoder: any Encoder) throws {
      var fields = encoder.container(keyedBy: Key.self)
      switch self {
      case .offset(let offset): try fields.encode(offset, forKey: .offset)
      case .table(let table): try fields.encode(table, forKey: .table)
      case .names(let prefix, let suffix, let letters):
        var names = fields.nestedContainer(keyedBy: Key.self, forKey: .names)
        try names.encode(prefix, forKey: .prefix)
        try names.encode(suffix, forKey: .suffix)
        try names.encode(letters, forKey: .letters)
      case .separate(let placeholder):
        var separate = fields.nestedContainer(keyedBy: Key.self, forKey: .separate)
        try separate.encode(placeholder, forKey: .placeholder)
      }
    }
  }

  /// Whether a document of one image needs a caption.
  public enum Caption: String, Codable, Sendable {
    /// A document without one is rejected.
    case required
    /// Without one the image stands alone.
    case optional
    /// Captions are not part of the sequence.
    case none
  }

  /// Which tokens are learned; the labels of the others are -100.
  public enum Loss: String, Codable, CaseIterable, Sendable {
    /// All of them.
    case all
    /// Codes alone, without the tokens around and between them.
    case codes
    /// Images with all of their tokens.
    case image
    /// What is no image.
    case text
    /// The last part of a document and the end behind it: what comes before is the prompt.
    case completion
  }

  /// What manifests call it.
  public var name: String
  /// In front of a document.
  public var beginOfDocument: [Token] = []
  /// Behind a document.
  public var endOfDocument: [Token] = []
  /// What fills rows of a fixed length.
  public var pad: Token?
  /// In front of an image.
  public var beginOfImage: [Token] = []
  /// The size of an image.
  public var size: Size?
  /// Between size and codes.
  public var beginOfCodes: [Token] = []
  /// Between rows.
  public var endOfLine: EndOfLine?
  /// Behind the codes.
  public var endOfFrame: [Token] = []
  /// Behind an image.
  public var endOfImage: [Token] = []
  /// Codes to ids.
  public var codes: Codes
  /// Whether captions are needed.
  public var caption: Caption = .optional
  /// What is learned.
  public var loss: Loss = .all
  /// Every id is below this; nil to take what the tokenizer and the codes need.
  public var vocabularySize: Int?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, pad, size, codes, caption, loss
    case beginOfDocument = "begin_of_document"
    case endOfDocument = "end_of_document"
    case beginOfImage = "begin_of_image"
    case beginOfCodes = "begin_of_codes"
    case endOfLine = "end_of_line"
    case endOfFrame = "end_of_frame"
    case endOfImage = "end_of_image"
    case vocabularySize = "vocabulary_size"
  }

  /// The most tokens of one part, which stand in every document: what a file costs grows with them.
  static let mostTokens = 4096
  /// The most bytes of the name of a token, or of what names and sizes are made of.
  static let longestName = 4096

  /// Creates a layout of codes alone.
  public init(name: String, codes: Codes) {
    (self.name, self.codes) = (name, codes)
  }

  /// Reads a layout; fields that are not known are errors.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseFields(besides: CodingKeys.allCases.map(\.rawValue))
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    func tokens(_ key: CodingKeys) throws -> [Token] {
      let tokens = try fields.decodeIfPresent([Token].self, forKey: key) ?? []
      guard tokens.count <= Self.mostTokens else {
        throw Self.fault("\(key.stringValue) has \(tokens.count) tokens", decoder)
      }
      return tokens
    }
    name = try fields.decode(String.self, forKey: .name)
    codes = try fields.decode(Codes.self, forKey: .codes)
    beginOfDocument = try tokens(.beginOfDocument)
    endOfDocument = try tokens(.endOfDocument)
    pad = try fields.decodeIfPresent(Token.self, forKey: .pad)
    beginOfImage = try tokens(.beginOfImage)
    size = try fields.decodeIfPresent(Size.self, forKey: .size)
    beginOfCodes = try tokens(.beginOfCodes)
    endOfLine = try fields.decodeIfPresent(EndOfLine.self, forKey: .endOfLine)
    endOfFrame = try tokens(.endOfFrame)
    endOfImage = try tokens(.endOfImage)
    caption = try fields.decodeIfPresent(Caption.self, forKey: .caption) ?? .optional
    loss = try fields.decodeIfPresent(Loss.self, forKey: .loss) ?? .all
    vocabularySize = try fields.decodeIfPresent(Int.self, forKey: .vocabularySize)
  }
}
