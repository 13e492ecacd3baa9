import TesseraCore

extension SequenceLayout {
  /// What is wrong with a field, in words of our own.
  static func fault(_ reason: String, _ decoder: any Decoder) -> DecodingError {
    .dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: reason))
  }
}

extension SequenceLayout.Size {
  /// Reads a text, or a token with what its number is made of.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseFields(besides: CodingKeys.allCases.map(\.rawValue))
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    text = try fields.decodeIfPresent(String.self, forKey: .text)
    token = try fields.decodeIfPresent(String.self, forKey: .token)
    base = try fields.decodeIfPresent(Int.self, forKey: .base)
    divisor = try fields.decodeIfPresent(Int.self, forKey: .divisor)
    digits = try fields.decodeIfPresent(Int.self, forKey: .digits)
    guard (text == nil) != (token == nil), token != nil || fields.allKeys.count == 1 else {
      throw SequenceLayout.fault(
        "size is a text, or a token with base, divisor and digits",
        decoder
      )
    }
    guard (text ?? token ?? "").utf8.count <= SequenceLayout.longestName else {
      throw SequenceLayout.fault("size is too long", decoder)
    }
    guard (-1 << 31...1 << 31).contains(base ?? 0), (1...1 << 31).contains(divisor ?? 1),
      (0...18).contains(digits ?? 0)
    else {
      throw SequenceLayout.fault("a number of size is out of range", decoder)
    }
  }
}

extension SequenceLayout.EndOfLine {
  /// Reads a token and where it stands.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseFields(besides: CodingKeys.allCases.map(\.rawValue))
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    token = try fields.decode(SequenceLayout.Token.self, forKey: .token)
    policy = try fields.decode(Policy.self, forKey: .policy)
  }
}
