public import Tensors

/// Why a safetensors file or its shard index cannot be read, in one line.
public struct SafetensorsError: ClassifiedError, Hashable {
  /// The file as the user named it.
  public let file: String
  /// The tensor or the part of the header; empty for the file itself.
  public let place: String
  /// What is wrong and what to do.
  public let cause: String

  /// Creates an error about a place in a file.
  public init(file: String, place: String = "", cause: String) {
    self.file = file
    self.place = place
    self.cause = cause
  }

  /// Always a malformed or unsafe file.
  public var kind: FailureKind { .malformedInput }

  /// File, place and cause on one line.
  public var description: String { CheckpointFormatError.line(file, place, cause) }
}
