/// Why an archive or one of its members cannot be read, in one line.
public struct ArchiveError: ClassifiedError, Hashable {
  /// The archive as the user named it.
  public let file: String
  /// The member, or empty for the archive itself.
  public let member: String
  /// What is wrong and what to do, without a full stop.
  public let cause: String

  /// Creates an error about an archive or a member.
  public init(file: String, member: String = "", cause: String) {
    self.file = file
    self.member = member
    self.cause = cause
  }

  /// Always a malformed or unsafe file.
  public var kind: FailureKind { .malformedInput }

  /// Archive, member and cause on one line.
  public var description: String { CheckpointFormatError.line(file, member, cause) }
}
