/// Why a dataset cannot be read.
public struct DatasetError: ClassifiedError, Hashable {
  /// The file, and the sample in it where it is one sample's fault.
  public let place: String
  /// What is wrong.
  public let reason: String

  /// Creates an error.
  public init(place: String, reason: String) {
    self.place = place
    self.reason = reason
  }

  /// Always malformed input.
  public var kind: FailureKind { .malformedInput }

  /// The place and the reason in one line.
  public var description: String { "\(place): \(reason)" }
}
