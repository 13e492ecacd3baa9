public import TesseraCore

/// Why a file did not become a picture: one line for the user.
public struct ImageError: ClassifiedError, Hashable {
  /// What is wrong, which decides the remedy that the description names.
  public enum Cause: Sendable, Hashable {
    /// The bytes contradict the format.
    case malformed
    /// The file ends before its picture does.
    case truncated
    /// A format or variant that is not read.
    case unsupported
    /// More pixels, bytes or working memory than `ImageLimits` allow.
    case overLimit
    /// The system refused memory: no word on the file.
    case noMemory
    /// The picture is sound but does not fit the preprocessing rule.
    case unfit
  }

  /// What is wrong.
  public let cause: Cause
  /// Where and how, without the file's name.
  public let detail: String

  /// Creates an error from its cause and one clause of detail.
  public init(_ cause: Cause, _ detail: String) {
    self.cause = cause
    self.detail = detail
  }

  /// A picture that does not fit the rule is a mismatch, a want of memory the machine's fault,
  /// everything else malformed or unsafe input.
  public var kind: FailureKind {
    switch cause {
    case .unfit: .mismatch
    case .noMemory: .inputOutput
    case .malformed, .truncated, .unsupported, .overLimit: .malformedInput
    }
  }

  /// The detail and what to do about it.
  public var description: String {
    switch cause {
    case .malformed: "\(detail); the file is damaged, fetch it again or leave it out"
    case .truncated: "\(detail); fetch it again, or allow partial rows"
    case .unsupported: "\(detail); convert it to an 8-bit JPEG or a PNG"
    case .overLimit: "\(detail); scale it down or raise the limit"
    case .noMemory: "\(detail); free some, or use fewer --workers"
    case .unfit: detail
    }
  }
}
