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

/// An error that a user can act on: one line that names file, place, cause and remedy.
///
/// Every error that a Tessera library throws conforms; the program prints `description` and exits
/// with the code of `kind`.
public protocol ClassifiedError: Error, CustomStringConvertible, Sendable {
  /// The kind of failure, which decides the exit code.
  var kind: FailureKind { get }
}

extension ClassifiedError {
  /// Whether the machine is at fault, and not what was read: another attempt may succeed.
  ///
  /// Only what is wrong with an input's content rejects it: malformed or unsafe data, a mismatch with
  /// the rules, a number beyond a limit. A file that cannot be opened or read, a mount that is gone, a
  /// want of memory or of descriptors say nothing of it: the run stops and may be continued.
  public var isMachineFault: Bool { kind == .inputOutput }
}
