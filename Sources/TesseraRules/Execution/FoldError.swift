public import TesseraCore

/// Why a generator cannot be folded or baked, in one line.
public struct FoldError: ClassifiedError, Hashable {
  /// The tensor that decided; empty where it is the whole file or a number.
  public let tensor: String
  /// What does not fit and what to do.
  public let cause: String
  /// A mismatch or a numeric limit.
  public let kind: FailureKind

  /// Creates an error about a tensor.
  public init(tensor: String, cause: String, kind: FailureKind = .mismatch) {
    self.tensor = tensor
    self.cause = cause
    self.kind = kind
  }

  /// Tensor and cause on one line.
  public var description: String { tensor.isEmpty ? cause : "'\(tensor)': \(cause)" }
}
