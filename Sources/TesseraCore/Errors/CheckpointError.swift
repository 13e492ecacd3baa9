/// Why a path is no checkpoint, in one line.
public struct CheckpointError: ClassifiedError, Hashable {
  /// The path as the user named it.
  public let path: String
  /// What it is instead, or what to do.
  public let cause: String

  /// An input of the wrong kind, or one that cannot be taken completely.
  public let kind: FailureKind

  /// Creates an error about a path.
  public init(path: String, cause: String, kind: FailureKind = .malformedInput) {
    self.path = path
    self.cause = cause
    self.kind = kind
  }

  /// Path and cause on one line.
  public var description: String { "\(path): \(cause)" }
}
