public import Readers

/// What GGUF wants to know beside tensors and strings.
public struct GGUFOptions: Sendable {
  /// Keys and values in their order, such as `general.architecture`; they come before the strings.
  public var values: [MetadataEntry]
  /// The names of the tensors that are stored as Q8_0; they arrive as float32.
  public var quantized: Set<String>

  /// Creates options; none by default.
  public init(values: [MetadataEntry] = [], quantized: Set<String> = []) {
    self.values = values
    self.quantized = quantized
  }
}

extension MetadataValue {
  /// The number of the type in a GGUF file; that of the elements for an array, whose own is 9.
  private var elementType: Int {
    switch self {
    case .uint32, .uint32s: 4
    case .int32, .int32s: 5
    case .float32, .float32s: 6
    case .bool, .bools: 7
    case .string, .strings: 8
    case .uint64: 10
    case .int64: 11
    case .float64: 12
    }
  }

  /// The number of elements of an array; nil for a single value.
  private var count: Int? {
    switch self {
    case .uint32s(let values): values.count
    case .int32s(let values): values.count
    case .float32s(let values): values.count
    case .bools(let values): values.count
    case .strings(let values): values.count
    default: nil
    }
  }

  /// Adds type and value as a GGUF file has them.
  func write(to text: inout LittleEndianText) {
    if let count {
      text.add(9, bytes: 4)
      text.add(elementType, bytes: 4)
      text.add(count, bytes: 8)
    } else {
      text.add(elementType, bytes: 4)
    }
    switch self {
    case .uint32(let value): text.add(Int(value), bytes: 4)
    case .int32(let value): text.add(Int(value), bytes: 4)
    case .uint64(let value): text.add(Int(truncatingIfNeeded: value), bytes: 8)
    case .int64(let value): text.add(Int(value), bytes: 8)
    case .float32(let value): text.add(Int(value.bitPattern), bytes: 4)
    case .float64(let value): text.add(Int(truncatingIfNeeded: value.bitPattern), bytes: 8)
    case .bool(let value): text.add(value ? 1 : 0, bytes: 1)
    case .string(let value): text.add(string: value)
    case .uint32s(let values): for value in values { text.add(Int(value), bytes: 4) }
    case .int32s(let values): for value in values { text.add(Int(value), bytes: 4) }
    case .float32s(let values): for value in values { text.add(Int(value.bitPattern), bytes: 4) }
    case .bools(let values): for value in values { text.add(value ? 1 : 0, bytes: 1) }
    case .strings(let values): for value in values { text.add(string: value) }
    }
  }
}

extension LittleEndianText {
  /// Adds a string as GGUF has it: the length in bytes as 64 bits, then UTF-8.
  mutating func add(string: String) {
    add(string.utf8.count, bytes: 8)
    bytes += Array(string.utf8)
  }
}
