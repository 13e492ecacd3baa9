import TesseraCore

/// What GGUF wants to know beside tensors and strings.
package struct GGUFOptions: Sendable {
  /// Keys and values in their order, such as `general.architecture`; they come before the strings.
  package var values: [MetadataEntry]
  /// The names of the tensors that are stored as Q8_0; they arrive as float32.
  package var quantized: Set<String>

  /// Whether the values are those of another GGUF file: then they are all that it needs to say.
  package var isCopy: Bool

  /// Creates options; none by default.
  package init(
    values: [MetadataEntry] = [],
    quantized: Set<String> = [],
    isCopy: Bool = false
  ) {
    (self.values, self.quantized, self.isCopy) = (values, quantized, isCopy)
  }

  /// The multiples at which data start: what the values say, else the format's default of 32.
  var alignment: Int {
    guard let entry = values.first(where: { $0.key == "general.alignment" }) else { return 32 }
    switch entry.value {
    case .uint32(let value): return Int(value)
    case .raw(4, let bytes): return bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    default: return 32
    }
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
    case .raw(let type, _): type
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
    case .raw(_, let bytes): text.bytes += bytes
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

extension MetadataEntry {
  /// Type and value as a GGUF file has them.
  public var encoded: [UInt8] {
    var text = LittleEndianText()
    value.write(to: &text)
    return text.bytes
  }

  /// The value as a short text.
  public var description: String {
    let bytes = encoded
    // Type 8 is a text, with its length in eight bytes.
    if bytes.first == 8 { return String(decoding: bytes.dropFirst(12).prefix(200), as: UTF8.self) }
    if case .raw(let type, let raw) = value, raw.count <= 8, type != 9 {
      let bits = raw.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      switch type {
      case 6: return "\(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))"
      case 12: return "\(Double(bitPattern: bits))"
      case 1, 3, 5, 11:
        let shift = UInt64(64 - 8 * raw.count)
        return "\(Int64(bitPattern: bits << shift) >> Int64(shift))"
      default: return "\(bits)"
      }
    }
    if case .raw(9, let raw) = value, raw.count >= 12 {
      let count = raw[4..<12].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      return "array of \(count) elements of type \(raw[0])"
    }
    return "\(value)"
  }
}
