import TesseraCore

/// The keys and values at the front of a GGUF file, read and checked.
struct GGUFMetadata {
  /// Numbers, texts and short arrays as text.
  private(set) var attributes: [String: String] = [:]
  /// Every key with its value as it lies in the file.
  private(set) var entries: [MetadataEntry] = []
  /// What data are aligned to, in bytes.
  private(set) var alignment = 32
  /// How many files the model is in, and which this is.
  private(set) var split: (number: Int, count: Int) = (0, 1)

  /// The bytes of the smallest entry: a key of one byte, a type, a value of one byte.
  private static let smallestEntry = 8 + 1 + 4 + 1
  private static let longestKey = 65_535
  private static let largestAlignment = 1 << 20
  private static let depthLimit = 4
  /// The most bytes of values that are kept for a file to be written: vocabularies take a few MiB.
  private static let valueLimit = 512 << 20
  private static let textLimits = (value: 1 << 20, total: 16 << 20, elements: 64)

  private var textBytes = 0
  private var keptBytes = 0
  private var keys: Set<String> = []

  /// Reads `count` entries.
  init(_ input: inout ByteInput, count: Int) throws {
    guard count <= input.remaining / GGUFMetadata.smallestEntry else {
      throw input.refusal("\(count) metadata entries do not fit the file")
    }
    for _ in 0..<count { try readEntry(&input) }
  }

  /// A text with its length before it.
  static func text(_ input: inout ByteInput, limit: Int, _ what: String) throws -> String {
    let place = input.position
    let length = try input.number(width: 8)
    guard length <= input.remaining else {
      throw input.refusal("\(what) claims \(length) bytes; \(input.remaining) are left", at: place)
    }
    guard length <= limit else { throw input.refusal("\(what) of \(length) bytes", at: place) }
    return try input.text(length)
  }

  private mutating func readEntry(_ input: inout ByteInput) throws {
    let place = input.position
    let key = try GGUFMetadata.text(&input, limit: GGUFMetadata.longestKey, "a key")
    guard !key.isEmpty else { throw input.refusal("an empty key", at: place) }
    guard keys.insert(key).inserted else {
      throw input.refusal("the key '\(key)' occurs twice", at: place)
    }
    let type = try input.number(width: 4)
    let start = input.position
    let value: String?
    if type == 9 {
      value = try array(&input, key)
    } else {
      value = try scalar(&input, type: type, key)
    }
    keptBytes += input.position - start
    guard keptBytes <= GGUFMetadata.valueLimit else {
      throw input.refusal("more than \(GGUFMetadata.valueLimit >> 20) MiB of metadata", at: place)
    }
    let bytes = try input.region.bytes(start..<input.position)
    entries.append(MetadataEntry(key, .raw(type: type, bytes: bytes)))
    guard let value else { return }
    try interpret(key, type: type, value, input, place)
    textBytes += value.utf8.count
    if textBytes <= GGUFMetadata.textLimits.total { attributes[key] = value }
  }

  /// Takes what the reader itself needs.
  private mutating func interpret(
    _ key: String,
    type: Int,
    _ value: String,
    _ input: ByteInput,
    _ place: Int
  ) throws {
    switch key {
    case "general.alignment":
      guard type == 4, let number = Int(value), number > 0, number & (number - 1) == 0,
        number <= GGUFMetadata.largestAlignment
      else {
        let cause = "general.alignment \(value) is no uint32 power of two up to 1 MiB"
        throw input.refusal(cause, at: place)
      }
      alignment = number
    case "split.count": split.count = Int(try splitNumber(key, value, input, place))
    case "split.no": split.number = Int(try splitNumber(key, value, input, place))
    default: break
    }
  }

  private func splitNumber(
    _ key: String,
    _ value: String,
    _ input: ByteInput,
    _ place: Int
  ) throws -> UInt16 {
    guard let number = UInt16(value) else { throw input.refusal("\(key) is no uint16", at: place) }
    return number
  }

  /// A value of a fixed width, or a text; nil for a text that is too long to show.
  private func scalar(_ input: inout ByteInput, type: Int, _ key: String) throws -> String? {
    switch type {
    case 0: return String(try input.byte())
    case 1: return String(Int8(bitPattern: try input.byte()))
    case 2: return String(try input.bits(width: 2))
    case 3: return String(Int16(truncatingIfNeeded: try input.bits(width: 2)))
    case 4: return String(try input.bits(width: 4))
    case 5: return String(Int32(truncatingIfNeeded: try input.bits(width: 4)))
    case 6:
      return "\(Float(bitPattern: UInt32(truncatingIfNeeded: try input.bits(width: 4))))"
    case 7:
      let byte = try input.byte()
      guard byte <= 1 else { throw input.refusal("'\(key)' is neither true nor false") }
      return byte == 1 ? "true" : "false"
    case 8:
      let length = try input.number(width: 8)
      guard length <= input.remaining else {
        throw input.refusal("'\(key)' claims \(length) bytes; \(input.remaining) are left")
      }
      guard length <= GGUFMetadata.textLimits.value else {
        _ = try input.skip(length)
        return nil
      }
      // Tokens may be any bytes.
      return String(decoding: try input.bytes(length), as: UTF8.self)
    case 10: return String(try input.bits(width: 8))
    case 11: return String(Int64(bitPattern: try input.bits(width: 8)))
    case 12: return "\(Double(bitPattern: try input.bits(width: 8)))"
    default: throw input.refusal("'\(key)' has the unknown type \(type)")
    }
  }

  /// Arrays of arrays: the format has them, ggml's own reader has not.
  private func arrays(
    _ input: inout ByteInput,
    count: Int,
    _ key: String,
    depth: Int
  ) throws -> String {
    // Each has at least its type and its count.
    guard count <= input.remaining / 12 else {
      throw input.refusal("'\(key)' claims \(count) arrays; \(input.remaining) bytes are left")
    }
    var shown: [String] = []
    for index in 0..<count {
      let text = try array(&input, key, depth: depth + 1)
      if index < GGUFMetadata.textLimits.elements, text.utf8.count < 1 << 12 { shown.append(text) }
    }
    return shown.count == count ? "[\(shown.joined(separator: ", "))]" : "array of \(count) array"
  }

  private static let widths = [1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8]
  private static let names = [
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array",
    "uint64", "int64", "float64",
  ]

  /// A short array as a list, a long one as its length.
  private func array(_ input: inout ByteInput, _ key: String, depth: Int = 0) throws -> String {
    let type = try input.number(width: 4)
    guard type < GGUFMetadata.widths.count, depth < GGUFMetadata.depthLimit else {
      throw input.refusal("'\(key)' is an array of type \(type): unknown, or nested too deeply")
    }
    let count = try input.number(width: 8)
    if type == 9 { return try arrays(&input, count: count, key, depth: depth) }
    let width = GGUFMetadata.widths[type]
    guard count <= input.remaining / width else {
      throw input.refusal("'\(key)' claims \(count) elements; \(input.remaining) bytes are left")
    }
    guard count > GGUFMetadata.textLimits.elements else {
      let values = try (0..<count).map { _ in
        let value = try scalar(&input, type: type, key) ?? "…"
        return type == 8 ? "\"\(value)\"" : value
      }
      return "[\(values.joined(separator: ", "))]"
    }
    if type == 8 {
      for _ in 0..<count { _ = try input.skip(try input.number(width: 8)) }
    } else {
      _ = try input.skip(count * width)
    }
    return "array of \(count) \(GGUFMetadata.names[type])"
  }
}
