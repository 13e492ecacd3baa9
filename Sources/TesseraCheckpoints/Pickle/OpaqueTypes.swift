import TesseraCore

/// Finds out what untyped bytes are from what the file states, and never from their width alone.
///
/// Keras 3 writes an attribute `dtype` beside them; legacy `.h5` files have only the dtype policy of
/// the layer in the model's configuration.
struct OpaqueTypes {
  private let attributes: [String: [String: HDF5Attribute]]
  private let policies: [String: String]
  private let fallback: ElementType?
  private(set) var refusals: [TensorRefusal] = []
  private(set) var skipped: [String] = []

  init(
    attributes: [String: [String: HDF5Attribute]],
    configuration: String?,
    fallback: ElementType?
  ) {
    (self.attributes, self.fallback) = (attributes, fallback)
    policies = configuration.map(KerasConfiguration.dtypes(ofModel:)) ?? [:]
  }

  /// The type of a dataset's elements, or nil after noting why there is none.
  mutating func elementType(of dataset: HDF5Dataset) -> ElementType? {
    switch dataset.elements {
    case .numbers(let elementType, _): return elementType
    case .opaque(let width, let tag): return resolve(dataset.path, width: width, tag: tag)
    case .withoutMeaning, .refused: return nil
    }
  }

  private mutating func resolve(_ path: String, width: Int, tag: String) -> ElementType? {
    if let stated = statedType(of: path) {
      if let elementType = OpaqueTypes.known[stated], elementType.bitWidth == width * 8 {
        return elementType
      }
      refusals.append(TensorRefusal(path, "elements of \(width) bytes stated as '\(stated)'"))
      return nil
    }
    if let fallback, fallback.bitWidth == width * 8 { return fallback }
    // Keras writes its narrow floats without a tag; a tag, or another width, is somebody's record.
    guard tag.isEmpty, width <= 2 else {
      let name = tag.isEmpty ? "" : " '\(tag)'"
      skipped.append("\(path): opaque elements\(name) of \(width) bytes, no tensor")
      return nil
    }
    refusals.append(
      TensorRefusal(
        path,
        "opaque elements of \(width) bytes without a stated type; say which with --opaque-dtype"
      )
    )
    return nil
  }

  private func statedType(of path: String) -> String? {
    if let stated = attributes[path]?["dtype"]?.text { return stated }
    // Below `model_weights`, the first group is the layer.
    let parts = path.split(separator: "/")
    let layer = parts.first == "model_weights" ? parts.dropFirst().first : parts.first
    return layer.flatMap { policies[String($0)] }
  }

  private static let known: [String: ElementType] = [
    "bfloat16": .bfloat16, "float16": .float16, "float8_e4m3fn": .float8E4M3,
    "float8_e5m2": .float8E5M2, "float8_e4m3fnuz": .float8E4M3FNUZ,
    "float8_e5m2fnuz": .float8E5M2FNUZ,
  ]
}
