/// An input that is in no shard: one line of `rejected.jsonl`.
///
/// `schemas/rejected.schema.json` states the same.
public struct Rejection: Codable, Hashable, Sendable {
  /// The step that refused an input.
  public enum Stage: String, Codable, Hashable, Sendable, CaseIterable {
    /// Opening the file and reading its bytes.
    case read
    /// Turning the bytes into pixels.
    case decode
    /// Orientation, resizing, cropping and padding.
    case preprocess
    /// The network and the quantizer.
    case encode
    /// Making a sequence of a document.
    case sequence
  }

  /// The path of the image relative to the folder, list or archive that named it.
  public let source: String
  /// The step that refused it.
  public let stage: Stage
  /// One line: the cause, and what to do about it where something can be done.
  public let reason: String

  /// Creates a rejection.
  public init(source: String, stage: Stage, reason: String) {
    self.source = source
    self.stage = stage
    self.reason = reason
  }
}
