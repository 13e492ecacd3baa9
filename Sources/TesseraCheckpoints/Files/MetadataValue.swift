/// A typed value beside the tensors of a checkpoint, such as a key of a GGUF file.
public enum MetadataValue: Hashable, Sendable {
  case uint32(UInt32)
  case int32(Int32)
  case uint64(UInt64)
  case int64(Int64)
  case float32(Float)
  case float64(Double)
  case bool(Bool)
  case string(String)
  case uint32s([UInt32])
  case int32s([Int32])
  case float32s([Float])
  case bools([Bool])
  case strings([String])
  /// A value of a GGUF file as it lies there: the number of its type, and its bytes.
  case raw(type: Int, bytes: [UInt8])
}

/// A named value beside the tensors.
public struct MetadataEntry: Hashable, Sendable {
  /// The key, such as `general.architecture`.
  public let key: String
  /// The value.
  public let value: MetadataValue

  /// Creates an entry.
  public init(_ key: String, _ value: MetadataValue) {
    (self.key, self.value) = (key, value)
  }
}

/// What a checkpoint says of itself beside its tensors, in the forms in which files carry it on.
public struct CheckpointMetadata: Hashable, Sendable {
  /// Free texts about the file, such as `__metadata__` of safetensors.
  public var strings: [String: String]
  /// Typed keys of a GGUF file, in its order.
  public var entries: [MetadataEntry]
  /// The names of what only this format, or no other file, has a place for: keys, attributes, values.
  public var others: [String]

  /// Creates a description; empty by default.
  public init(
    strings: [String: String] = [:],
    entries: [MetadataEntry] = [],
    others: [String] = []
  ) {
    (self.strings, self.entries, self.others) = (strings, entries, others)
  }
}
