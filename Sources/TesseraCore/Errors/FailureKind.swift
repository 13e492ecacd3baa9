/// What kind of failure an error is; the raw value is the program's exit code.
public enum FailureKind: Int32, Sendable {
  /// The input is malformed or unsafe to read.
  case malformedInput = 3
  /// Names, shapes or settings do not fit together.
  case mismatch = 4
  /// A number left the range in which the result would be right.
  case numericLimit = 5
  /// The operating system refused to read or write.
  case inputOutput = 6
}
