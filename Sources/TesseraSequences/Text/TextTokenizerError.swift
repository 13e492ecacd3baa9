public import TesseraCore

/// Why a text tokenizer cannot be used: one line.
public struct TextTokenizerError: ClassifiedError, Hashable {
  /// The file.
  public let source: String
  /// What is wrong and what to do about it.
  public let reason: String
  /// Malformed input, or a mismatch where a part is not supported.
  public let kind: FailureKind

  /// Creates an error.
  public init(source: String, reason: String, kind: FailureKind = .malformedInput) {
    self.source = source
    self.reason = reason
    self.kind = kind
  }

  /// The file, where it is known, and the reason in one line.
  public var description: String { source.isEmpty ? reason : "\(source): \(reason)" }

  /// A part of a tokenizer that this program does not have.
  static func unsupported(_ part: String) -> TextTokenizerError {
    TextTokenizerError(
      source: "",
      reason: "\(part) is not supported; use a tokenizer without it, or give captions as ids",
      kind: .mismatch
    )
  }

  /// A field that is missing or of another type.
  static func field(_ name: String, _ expected: String) -> TextTokenizerError {
    TextTokenizerError(source: "", reason: "the field '\(name)' is not \(expected)")
  }

  /// The error with the file's name.
  func from(_ source: String) -> TextTokenizerError {
    TextTokenizerError(source: source, reason: reason, kind: kind)
  }
}
