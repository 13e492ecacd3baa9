package import TesseraCheckpoints
import TesseraCore

/// What a recipe is applied to: tensors, and the settings beside them.
package struct RecipeInput: Sendable {
  /// The tensors.
  package let tensors: [TensorInfo]
  /// The strings of the file, such as the keys of a GGUF file.
  package let attributes: [String: String]
  /// The `config.json` beside it.
  let configuration: JSONValue?
  /// Reads data, to find out whether tensors are equal; nil where there are none yet.
  let reader: (any CheckpointReader)?

  /// A checkpoint with its settings.
  ///
  /// - Parameters:
  ///   - checkpoint: The tensors.
  ///   - configuration: The text of the `config.json` beside it, or nil.
  package init(_ checkpoint: any CheckpointReader, configuration: String? = nil) {
    tensors = checkpoint.tensors
    attributes = checkpoint.attributes
    self.configuration = configuration.flatMap { try? JSONValue(parsing: $0) }
    reader = checkpoint
  }

  /// What a plan will give.
  package init(_ plan: ConversionPlan) {
    tensors = plan.tensors
    attributes = Dictionary(plan.metadata.map { ($0.key, $0.value.text) }) { first, _ in first }
    configuration = plan.companions["config.json"].flatMap { try? JSONValue(parsing: $0) }
    reader = nil
  }

  /// A setting; keys of a `config.json` may be paths with dots.
  func setting(_ key: String, in layout: RecipeLayout) -> JSONValue? {
    switch layout.settings {
    case .gguf: return attributes[key].map(JSONValue.string)
    case .none: return nil
    case .json:
      let path = key.split(separator: ".").map(String.init)
      let value = path.reduce(configuration) { $0?[$1] }
      return value == .null ? nil : value
    }
  }

  /// Whether there are settings of a layout's kind at all.
  func hasSettings(of layout: RecipeLayout) -> Bool {
    switch layout.settings {
    case .gguf: attributes["general.architecture"] != nil
    case .json: configuration?.object != nil
    case .none: false
    }
  }

  /// Whether the tensors hold the same bytes.
  func isEqual(_ a: TensorInfo, _ b: TensorInfo) throws -> Bool {
    if a.aliasOf == b.name || b.aliasOf == a.name { return true }
    guard a.shape == b.shape, a.elementType == b.elementType, let reader else { return false }
    return try TensorComparison(reader).isEqual(a, b)
  }

  /// Whether all elements have this value; true where there are no data yet.
  func isConstant(_ tensor: TensorInfo, _ value: ImpliedTensor.Value) throws -> Bool {
    guard let reader else { return true }
    return try TensorComparison(reader).isConstant(tensor, value.bytes(as: tensor.elementType))
  }
}

/// Compares the data of tensors, a piece at a time.
private struct TensorComparison {
  private let reader: any CheckpointReader
  private let pieceSize = 1 << 20

  init(_ reader: any CheckpointReader) { self.reader = reader }

  func isEqual(_ a: TensorInfo, _ b: TensorInfo) throws -> Bool {
    for piece in pieces(of: a) {
      if try bytes(piece, of: a) != bytes(piece, of: b) { return false }
    }
    return true
  }

  func isConstant(_ tensor: TensorInfo, _ element: [UInt8]) throws -> Bool {
    for piece in pieces(of: tensor) {
      let bytes = try bytes(piece, of: tensor)
      for start in stride(from: 0, to: bytes.count, by: element.count)
      where bytes[start..<start + element.count] != element[...] {
        return false
      }
    }
    return true
  }

  private func pieces(of tensor: TensorInfo) -> [Range<Int>] {
    let count = tensor.shape.elementCount ?? 0
    let step = max(pieceSize * 8 / tensor.elementType.bitWidth / 8 * 8, 8)
    return stride(from: 0, to: count, by: step).map { $0..<min($0 + step, count) }
  }

  private func bytes(_ elements: Range<Int>, of tensor: TensorInfo) throws -> [UInt8] {
    let size = tensor.elementType.byteCount(elements: elements.count) ?? 0
    var bytes = [UInt8](repeating: 0, count: size)
    try unsafe bytes.withUnsafeMutableBytes { buffer in
      try unsafe reader.read(elements, of: tensor, into: buffer)
    }
    return bytes
  }
}

extension MetadataValue {
  /// The value as readers of GGUF files give it.
  var text: String {
    switch self {
    case .uint32(let value): "\(value)"
    case .int32(let value): "\(value)"
    case .uint64(let value): "\(value)"
    case .int64(let value): "\(value)"
    case .float32(let value): "\(value)"
    case .float64(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): value
    case .uint32s(let values): "\(values)"
    case .int32s(let values): "\(values)"
    case .float32s(let values): "\(values)"
    case .bools(let values): "\(values)"
    case .strings(let values): "\(values)"
    case .raw(let type, let bytes): "\(bytes.count) bytes of type \(type)"
    }
  }
}
