/// A refusal to write what another run is writing at this moment.
public struct OutputInUseError: ClassifiedError, Hashable {
  /// The file or folder as the user gave it.
  public let output: String
  /// What the other run does, where it says so.
  public let verb: String?

  /// Creates an error.
  public init(output: String, verb: String?) {
    self.output = output
    self.verb = verb
  }

  /// A failure of output.
  public var kind: FailureKind { .inputOutput }

  /// One line with the remedy.
  public var description: String {
    "\(output): another run\(verb.map { " of \($0)" } ?? "") is writing it; wait for its end, or name "
      + "another output"
  }
}
