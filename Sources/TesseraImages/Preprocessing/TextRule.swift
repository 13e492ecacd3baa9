/// A rule that the command line and JSON profiles write as one word, such as `bicubic:short=256`.
public protocol TextRule: Codable, Hashable, Sendable, CustomStringConvertible {
  /// What the rule is called in messages, such as `resize rule`.
  static var noun: String { get }
  /// The forms that are accepted, for messages.
  static var grammar: String { get }
  /// Reads a text; nil where it is no such rule.
  init?(_ text: String)
}

extension TextRule {
  /// Reads the rule from a JSON string.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let rule = Self(text) else {
      throw DecodingError.dataCorruptedError(
        in: container,
        debugDescription: "'\(text)' is no \(Self.noun); it is \(Self.grammar)"
      )
    }
    self = rule
  }

  /// Writes the rule as a JSON string.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// A whole number of at least 1, written with digits alone; nil for anything else.
package func positive(_ text: Substring) -> Int? {
  guard !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber }), let value = Int(text),
    value > 0, value <= 1 << 40
  else { return nil }
  return value
}

/// Two such numbers around a separator.
func positives(_ text: Substring, separator: Character) -> (Int, Int)? {
  let parts = text.split(separator: separator, omittingEmptySubsequences: false)
  guard parts.count == 2, let first = positive(parts[0]), let second = positive(parts[1]) else {
    return nil
  }
  return (first, second)
}
