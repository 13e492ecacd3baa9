/// Why a state space cannot be made, read or stepped, in one line with the number that decided.
public struct StateSpaceError: ClassifiedError, Hashable {
  /// A mismatch, or a number that left the range in which the result would be right.
  public let kind: FailureKind
  /// What is wrong and what to do.
  public let reason: String

  /// Creates an error.
  public init(kind: FailureKind, reason: String) {
    self.kind = kind
    self.reason = reason
  }

  /// Settings, names or shapes that do not fit together.
  package static func mismatch(_ reason: String) -> StateSpaceError {
    StateSpaceError(kind: .mismatch, reason: reason)
  }

  /// A number beyond its limit.
  package static func limit(_ reason: String) -> StateSpaceError {
    StateSpaceError(kind: .numericLimit, reason: reason)
  }

  /// The reason alone; the program adds the file.
  public var description: String { reason }
}
