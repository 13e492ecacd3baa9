package import TesseraCore

/// A GGUF file of version 3, little-endian: data in the order of the tensors, at multiples of 32 or of
/// what `general.alignment` says.
package struct GGUFLayout: CheckpointLayout {
  /// The tensors, in the order given.
  package let tensors: [TensorInfo]
  /// Never: the format has no checksums.
  package var needsChecksums: Bool { false }
  private let entries: [CheckpointEntry]
  private let header: [UInt8]
  private let options: GGUFOptions

  /// The longest name that ggml reads, in bytes.
  private static let nameLimit = 63
  private static let format = "gguf"

  /// Lays out tensors.
  ///
  /// - Parameters:
  ///   - tensors: In the order of their bytes.
  ///   - metadata: Strings, stored after the options' values; those keys win.
  ///   - options: Typed values, and which tensors become Q8_0.
  /// - Throws: `TesseraError` where ggml has no such type, shape or name.
  package init(
    tensors: [TensorInfo],
    metadata: [String: String],
    options: GGUFOptions
  ) throws(TesseraError) {
    let offsets = try Self.offsets(of: tensors, options)
    var text = LittleEndianText()
    text.bytes += Array("GGUF".utf8)
    text.add(3, bytes: 4)
    let values = Self.values(metadata, options, tensors)
    let alignment = options.alignment
    text.add(tensors.count, bytes: 8)
    text.add(values.count, bytes: 8)
    for entry in values {
      text.add(string: entry.key)
      entry.value.write(to: &text)
    }
    for (tensor, range) in zip(tensors, offsets) {
      text.add(string: tensor.name)
      // ggml has no tensors without axes: a scalar is a vector of one.
      let extents = tensor.shape.rank == 0 ? [1] : tensor.shape.dimensions
      text.add(extents.count, bytes: 4)
      for extent in extents.reversed() { text.add(extent, bytes: 8) }
      let isQuantized = options.quantized.contains(tensor.name)
      text.add(isQuantized ? 8 : tensor.elementType.ggmlType ?? 0, bytes: 4)
      text.add(range.lowerBound, bytes: 8)
    }
    text.bytes += [UInt8](repeating: 0, count: -text.bytes.count & (alignment - 1))
    let start = text.bytes.count
    entries = zip(tensors, offsets).map { tensor, range in
      CheckpointEntry(
        tensor: tensor,
        bytes: start + range.lowerBound..<start + range.upperBound,
        encoding: options.quantized.contains(tensor.name) ? .q8_0 : .plain
      )
    }
    header = text.bytes
    (self.tensors, self.options) = (tensors, options)
  }

  /// Where each tensor's bytes lie from the start of the data.
  private static func offsets(
    of tensors: [TensorInfo],
    _ options: GGUFOptions
  ) throws(TesseraError) -> [Range<Int>] {
    let alignment = options.alignment
    guard alignment > 0, alignment & (alignment - 1) == 0, alignment <= 1 << 20 else {
      let cause = "general.alignment \(alignment) is no power of two up to 1 MiB"
      throw TesseraError.mismatch(cause, place: format)
    }
    var names: Set<String> = []
    var offsets: [Range<Int>] = []
    var position = 0
    for tensor in tensors {
      func refusal(_ cause: String) -> TesseraError {
        TesseraError.mismatch(cause + " (\(format))", place: tensor.name)
      }
      guard names.insert(tensor.name).inserted else { throw refusal("two tensors of this name") }
      guard (1...nameLimit).contains(tensor.name.utf8.count) else {
        throw refusal("ggml reads names of 1 to \(nameLimit) bytes; --strip a prefix")
      }
      guard tensor.shape.rank <= 4, !tensor.shape.dimensions.contains(0) else {
        throw refusal("\(tensor.shape): ggml has at most 4 axes, none of them empty")
      }
      let encoding: CheckpointEncoding = options.quantized.contains(tensor.name) ? .q8_0 : .plain
      guard tensor.elementType.ggmlType != nil else {
        throw refusal("ggml has no type for \(tensor.elementType.rawValue); --dtype changes it")
      }
      guard encoding == .plain || tensor.isBlocked else {
        throw refusal("Q8_0 needs float32 rows of a multiple of \(QuantizedBlock.count)")
      }
      guard let count = tensor.shape.elementCount,
        let size = encoding.byteCount(elements: count, of: tensor.elementType),
        size < 1 << 60, position < 1 << 60
      else { throw refusal("too large") }
      offsets.append(position..<position + size)
      position += (size + alignment - 1) / alignment * alignment
    }
    return offsets
  }

  /// The key-value section: the architecture first, then what was given, then the strings.
  private static func values(
    _ metadata: [String: String],
    _ options: GGUFOptions,
    _ tensors: [TensorInfo]
  ) -> [MetadataEntry] {
    var values = options.values
    func add(_ key: String, _ value: MetadataValue) {
      if !values.contains(where: { $0.key == key }) { values.append(MetadataEntry(key, value)) }
    }
    let architecture = "general.architecture"
    // Without one, tensors are all that the file holds: nothing is made up.
    if !values.contains(where: { $0.key == architecture }), let name = metadata[architecture] {
      values.insert(MetadataEntry(architecture, .string(name)), at: 0)
    }
    if !options.isCopy { add("general.type", .string("model")) }
    if let type = fileType(tensors, options) { add("general.file_type", .uint32(type)) }
    if !options.quantized.isEmpty { add("general.quantization_version", .uint32(2)) }
    let known = Set(values.map(\.key))
    for (key, value) in metadata.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) })
    where !known.contains(key) && key != "format" {
      values.append(MetadataEntry(key, .string(value)))
    }
    return values
  }

  /// llama.cpp's number for the type that most of the data have, where it has one.
  static func fileType(_ tensors: [TensorInfo], _ options: GGUFOptions) -> UInt32? {
    if !options.quantized.isEmpty { return 7 }
    var sizes: [ElementType: Int] = [:]
    for tensor in tensors { sizes[tensor.elementType, default: 0] += tensor.byteCount ?? 0 }
    let numbers: [ElementType: UInt32] = [.float32: 0, .float16: 1, .bfloat16: 32]
    return sizes.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }
      .flatMap { numbers[$0.key] }
  }

  /// Reserves the file and writes the header.
  package func begin(_ file: inout AtomicFile) throws -> [CheckpointEntry] {
    // The last tensor is padded too.
    let end = entries.map(\.bytes.upperBound).max() ?? header.count
    let alignment = options.alignment
    try file.reserve(byteCount: (end + alignment - 1) / alignment * alignment)
    try file.write(header)
    return entries
  }

  /// Writes the header once more, with the strings that are known by now.
  package func finish(_ file: inout AtomicFile, with ending: CheckpointEnding) throws {
    let final = try GGUFLayout(tensors: tensors, metadata: ending.metadata, options: options)
    try file.replace(header, by: final.header)
  }
}

extension ElementType {
  /// ggml's number of the type; nil where it has none.
  fileprivate var ggmlType: Int? {
    switch self {
    case .float32: 0
    case .float16: 1
    case .int8: 24
    case .int16: 25
    case .int32: 26
    case .int64: 27
    case .float64: 28
    case .bfloat16: 30
    default: nil
    }
  }
}

extension TensorInfo {
  /// Whether the rows of the tensor can be stored as blocks of Q8_0.
  public var isBlocked: Bool {
    guard elementType == .float32, let last = shape.dimensions.last else { return false }
    return last > 0 && last % QuantizedBlock.count == 0
  }
}
