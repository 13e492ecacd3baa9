/// A refusal to write over a file that is being read.
public struct SameFileError: ClassifiedError, Hashable {
  /// The input's path as the user gave it.
  public let input: String
  /// The output's path as the user gave it.
  public let output: String

  /// A failure of output: the input would be lost.
  public var kind: FailureKind { .inputOutput }

  /// One line with the remedy.
  public var description: String {
    "\(output): this is the input '\(input)' itself; name another output"
  }
}
