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
}

/// A named value beside the tensors.
public struct MetadataEntry: Hashable, Sendable {
  /// The key, such as `general.architecture`.
  public let key: String
  /// The value.
  public let value: MetadataValue

  /// Creates an entry.
  public init(_ key: String, _ value: MetadataValue) {
    self.key = key
    self.value = value
  }
}
