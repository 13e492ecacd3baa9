import TesseraCheckpoints
import TesseraCore
package import TesseraSequences

extension RotaryTable {
  /// Writes the table: cos and sin alone as .npy, frequencies and axes too as .safetensors.
  ///
  /// - Parameters:
  ///   - output: The final path.
  ///   - positions: The positions that cos and sin are of; nil for the frequencies alone.
  ///   - inputs: Files that are being read; none of them may be the output.
  /// - Throws: `TesseraError`.
  package func write(
    to output: String,
    of positions: PositionIds?,
    reading inputs: [String]
  ) throws {
    let angles = try positions.map(self.angles)
    if output.lowercased().hasSuffix(".npy") {
      guard let angles else { return }
      let shape = Shape([2] + angles.cos.shape.dimensions)
      let both = Tensor(
        elementType: .float32,
        shape: shape,
        bytes: angles.cos.bytes + angles.sin.bytes
      )
      var file = try AtomicFile(path: output, reading: inputs)
      try file.write(try NPYFile.encode(both))
      return try file.commit()
    }
    let pairs: Shape = [axis.count]
    var tensors = [
      "axis": Tensor(shape: pairs, elements: axis.map { Int32($0) }),
      "inv_freq": Tensor(shape: pairs, elements: inverseFrequencies),
    ]
    if let angles { (tensors["cos"], tensors["sin"]) = angles }
    let entries = try SafetensorsLayout(
      tensors: tensors.map { TensorInfo(name: $0, elementType: $1.elementType, shape: $1.shape) },
      metadata: ["layout": layout.rawValue]
    )
    let file = try SafetensorsFile(path: output, layout: entries, reading: inputs)
    for entry in entries.entries {
      guard let tensor = tensors[entry.tensor.name] else { continue }
      try unsafe tensor.bytes.withUnsafeBytes { try unsafe file.write($0, at: 0, of: entry) }
    }
    try file.commit()
  }
}
