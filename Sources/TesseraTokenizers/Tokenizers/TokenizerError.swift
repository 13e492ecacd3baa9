public import TesseraCore

/// Why a tokenizer could not be loaded, or does not fit what it was given.
public struct TokenizerError: ClassifiedError, Hashable {
  /// What the tokenizer was asked for as: a name or a path.
  public let tokenizer: String
  /// What is wrong and what to do about it.
  public let reason: String
  /// Mismatch unless the file itself is malformed.
  public let kind: FailureKind

  /// Creates an error.
  public init(tokenizer: String, reason: String, kind: FailureKind = .mismatch) {
    self.tokenizer = tokenizer
    self.reason = reason
    self.kind = kind
  }

  /// The tokenizer and the reason in one line.
  public var description: String { "\(tokenizer): \(reason)" }
}
