import TesseraCheckpoints
package import TesseraCore

extension StateSpaceFile {
  /// The tensors to be written, by name.
  private func tensors(as type: ElementType) throws(TesseraError) -> [String: Tensor] {
    var tensors: [String: Tensor] = [:]
    for (name, array) in arrays {
      if let index = array.values.firstIndex(where: { !$0.isFinite }) {
        throw .limit("\(name): element \(index) came out as \(array.values[index])")
      }
      let shape = Shape(array.storedShape)
      guard type == .float32 else {
        tensors[name] = Tensor(shape: shape, elements: array.values)
        continue
      }
      if let index = array.values.firstIndex(where: { !Float($0).isFinite }) {
        throw .limit("\(name): element \(index) is \(array.values[index]), too large for float32")
      }
      tensors[name] = Tensor(shape: shape, elements: array.values.map { Float($0) })
    }
    return tensors
  }

  /// The metadata with the list of complex arrays, and of what is left out.
  package var storedMetadata: [String: String] {
    var metadata = metadata
    let complex = arrays.filter(\.value.isComplex).keys.sorted()
    metadata[Key.complex] = complex.isEmpty ? "none" : complex.joined(separator: ",")
    if !unused.isEmpty { metadata[Key.unused] = unused.joined(separator: ", ") }
    return metadata
  }

  /// Writes the file; it appears complete or not at all.
  ///
  /// - Parameters:
  ///   - path: Ends in `.safetensors`, `.npz` or `.h5`.
  ///   - type: `float64` or `float32`.
  ///   - inputs: Files that must not be written over.
  /// - Throws: `TesseraError` for another ending or a value that does not fit.
  package func write(to path: String, as type: ElementType, reading inputs: [String]) throws {
    let tensors = try tensors(as: type).sorted { $0.key < $1.key }
    guard let format = CheckpointFormat(path: path),
      [.safetensors, .npz, .hdf5].contains(format)
    else {
      throw TesseraError.mismatch("the name does not end in .safetensors, .npz or .h5")
    }
    try CheckpointFile.write(
      tensors.map { (name: $0.key, tensor: $0.value) },
      to: path,
      format: format,
      metadata: storedMetadata,
      reading: inputs
    )
  }
}
