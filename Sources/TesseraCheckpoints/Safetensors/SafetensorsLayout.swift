package import TesseraCore

/// Where every tensor of a safetensors file will lie, and the header that says so.
///
/// Order, offsets, padding and JSON are those of the reference writer (safetensors 0.8), so equal
/// tensors and metadata give equal bytes.
package struct SafetensorsLayout: CheckpointLayout {
  /// A tensor and its bytes, counted from the start of the file.
  package typealias Entry = CheckpointEntry

  /// The tensors in the order of their bytes.
  package let entries: [Entry]
  /// Length, JSON text and padding: the file's first bytes.
  package let header: [UInt8]
  /// The size of the whole file in bytes.
  package var fileSize: Int { entries.last?.bytes.upperBound ?? header.count }
  /// The tensors in the order of their bytes.
  package var tensors: [TensorInfo] { entries.map(\.tensor) }
  /// Never: the format has no checksums.
  package var needsChecksums: Bool { false }

  /// Lays out tensors.
  ///
  /// - Parameters:
  ///   - tensors: In any order, each name once.
  ///   - metadata: The strings of `__metadata__`; none writes no such key, as the reference does.
  /// - Throws: `TesseraError` where a type, a name or the number of tensors does not fit.
  package init(tensors: [TensorInfo], metadata: [String: String]) throws(TesseraError) {
    let sorted = tensors.sorted(by: SafetensorsLayout.precedes)
    var json = "{"
    if !metadata.isEmpty {
      let members = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      let texts = members.map { "\(JSONText.quoted($0.key)):\(JSONText.quoted($0.value))" }
      json += "\"\(SafetensorsHeader.metadataKey)\":{\(texts.joined(separator: ","))}"
    }
    var ranges: [Range<Int>] = []
    var end = 0
    var previous: String?
    for tensor in sorted {
      let size = try SafetensorsLayout.byteCount(of: tensor, after: previous)
      let (next, overflow) = end.addingReportingOverflow(size)
      guard !overflow else { throw TesseraError.mismatch("too large", place: tensor.name) }
      ranges.append(end..<next)
      let shape = tensor.shape.dimensions.map(String.init).joined(separator: ",")
      json += json == "{" ? "" : ","
      json += "\(JSONText.quoted(tensor.name)):{\"dtype\":\"\(tensor.elementType.rawValue)\","
      json += "\"shape\":[\(shape)],\"data_offsets\":[\(end),\(next)]}"
      end = next
      previous = tensor.name
    }
    json += "}"
    header = try SafetensorsLayout.framed(json)
    let start = header.count
    entries = zip(sorted, ranges).map { tensor, range in
      Entry(tensor: tensor, bytes: start + range.lowerBound..<start + range.upperBound)
    }
  }

  /// Reserves the file and writes the header.
  package func begin(_ file: inout AtomicFile) throws -> [CheckpointEntry] {
    try file.reserve(byteCount: fileSize)
    try file.write(header)
    return entries
  }

  /// Writes the header once more, with the strings that are known by now.
  package func finish(_ file: inout AtomicFile, with ending: CheckpointEnding) throws {
    let final = try SafetensorsLayout(tensors: tensors, metadata: ending.metadata)
    try file.replace(header, by: final.header)
  }

  private static func byteCount(
    of tensor: TensorInfo,
    after previous: String?
  ) throws(TesseraError) -> Int {
    func refusal(_ cause: String) -> TesseraError {
      TesseraError.mismatch(cause, place: tensor.name)
    }
    guard tensor.elementType.isSafetensorsType else {
      throw refusal("safetensors has no type for \(tensor.elementType.rawValue)")
    }
    guard tensor.name != SafetensorsHeader.metadataKey else { throw refusal("a reserved name") }
    guard tensor.name != previous else { throw refusal("two tensors of this name") }
    let size = tensor.shape.elementCount.flatMap { tensor.elementType.byteCount(elements: $0) }
    guard let size else { throw refusal("\(tensor.shape) is no whole number of bytes") }
    return size
  }

  /// Length, text, and spaces up to a multiple of eight bytes, so that data are aligned.
  private static func framed(_ json: String) throws(TesseraError) -> [UInt8] {
    var text = Array(json.utf8)
    text += [UInt8](repeating: 0x20, count: (8 - text.count % 8) % 8)
    guard text.count <= SafetensorsHeader.byteLimit else {
      let cause =
        "a header of \(text.count) bytes; the format allows \(SafetensorsHeader.byteLimit)"
      throw TesseraError.mismatch(cause)
    }
    let length = UInt64(text.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) } + text
  }

  /// The reference writer's order: element types from the widest alignment down, then names as
  /// bytes.
  private static func precedes(_ a: TensorInfo, _ b: TensorInfo) -> Bool {
    if a.elementType != b.elementType { return rank(a.elementType) < rank(b.elementType) }
    return a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
  }

  private static func rank(_ type: ElementType) -> Int {
    typeOrder.firstIndex(of: type) ?? typeOrder.count
  }

  private static let typeOrder: [ElementType] = [
    .uint64, .int64, .float64, .complex64, .float32, .uint32, .int32, .bfloat16, .float16, .uint16,
    .int16, .float8E5M2FNUZ, .float8E4M3FNUZ, .float8E8M0, .float8E4M3, .float8E5M2, .int8, .uint8,
    .float6E3M2, .float6E2M3, .float4, .bool,
  ]
}
