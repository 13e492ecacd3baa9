import TesseraCore

extension StateSpaceArray {
  /// Writes the array as a .npy file.
  ///
  /// - Parameters:
  ///   - output: The final path.
  ///   - type: The precision.
  ///   - inputs: Files that are being read; none of them may be the output.
  /// - Throws: `TesseraError` where an element is too large for the type, and where writing fails.
  package func write(to output: String, as type: FloatType, reading inputs: [String]) throws {
    var written = try AtomicFile(path: output, reading: inputs)
    try written.write(try NPYFile.encode(try tensor(as: type)))
    try written.commit()
  }

  private func tensor(as type: FloatType) throws(TesseraError) -> Tensor {
    let shape = Shape(storedShape)
    guard type == .float32 else { return Tensor(shape: shape, elements: values) }
    let single = values.map { Float($0) }
    if let bad = single.firstIndex(where: { !$0.isFinite }) {
      throw TesseraError.limit(
        "element \(bad) of the kernel is \(values[bad]), too large for float32"
      )
    }
    return Tensor(shape: shape, elements: single)
  }
}
