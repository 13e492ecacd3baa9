internal import Readers
internal import Tensors

/// The weights of a family's checkpoint as networks and quantizers ask for them.
struct FamilyWeights: Sendable {
  private let tensors: FamilyTensors
  private let files: [File]

  private struct File: Sendable {
    let checkpoint: any CheckpointReader
    let tensors: [String: TensorInfo]

    /// A tensor as float32; float16 and bfloat16 widened exactly.
    func floats(_ name: String) throws -> (shape: Shape, values: [Float]) {
      guard let info = tensors[name], let count = info.shape.elementCount,
        let size = info.elementType.byteCount(elements: count)
      else { throw NetworkError.unrecognized(name: name, reason: "gone, or of an impossible size") }
      var bytes = [UInt8](repeating: 0, count: size)
      try unsafe bytes.withUnsafeMutableBytes { buffer in
        try unsafe checkpoint.read(0..<count, of: info, into: buffer)
      }
      let tensor = Tensor(elementType: info.elementType, shape: info.shape, bytes: bytes)
      return (info.shape, try tensor.floats())
    }
  }

  init(_ tensors: FamilyTensors, in checkpoints: [any CheckpointReader]) {
    self.tensors = tensors
    files = checkpoints.map { checkpoint in
      let named = checkpoint.tensors.map { ($0.name, $0) }
      return File(
        checkpoint: checkpoint,
        tensors: Dictionary(named) { first, _ in first }
      )
    }
  }

  /// A tensor by the graphs' name, or nil where there is none.
  func floats(_ name: String) throws -> (shape: Shape, values: [Float])? {
    guard let entry = tensors.entries[name] else { return nil }
    let file = files[entry.file]
    return try entry.recipe.values { try file.floats($0) }
  }
}
