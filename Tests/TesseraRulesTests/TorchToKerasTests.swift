import Fixtures
import TesseraCheckpoints
import TesseraCore
import TesseraRules
import Testing

@Suite struct TorchToKerasTests {
  private let folder: TemporaryFolder
  private let template: HDF5Checkpoint

  /// A dense layer and a recurrent one, as Keras 3 numbers their variables.
  init() throws {
    folder = try TemporaryFolder()
    let variables: [(String, Shape)] = [
      ("layers/dense/vars/0", [2, 3]), ("layers/dense/vars/1", [3]),
      ("layers/lstm/cell/vars/0", [3, 8]), ("layers/lstm/cell/vars/1", [2, 8]),
      ("layers/lstm/cell/vars/2", [8]), ("layers/dropout/seed_generator/vars/0", [2]),
    ]
    let path = "\(folder.path)/model.weights.h5"
    try CheckpointFile.write(
      variables.map { ($0.0, Tensor(shape: $0.1, floats: Self.zeros($0.1))) },
      to: path
    )
    template = try HDF5Checkpoint(path: path)
  }

  private static func zeros(_ shape: Shape) -> [Float] {
    Array(repeating: 0, count: shape.elementCount ?? 0)
  }

  /// The modules that compute the same; numbers count up.
  private func modules(_ change: (inout [String: Tensor]) -> Void = { _ in }) throws
    -> StoredTensors
  {
    let shapes: [String: Shape] = [
      "dense.weight": [3, 2], "dense.bias": [3], "lstm.weight_ih_l0": [8, 3],
      "lstm.weight_hh_l0": [8, 2], "lstm.bias_ih_l0": [8], "lstm.bias_hh_l0": [8],
    ]
    var tensors = shapes.mapValues { shape in
      Tensor(shape: shape, floats: (0..<(shape.elementCount ?? 0)).map(Float.init))
    }
    change(&tensors)
    return try StoredTensors(tensors)
  }

  private func floats(_ name: String, _ path: String) throws -> [Float] {
    let file = try HDF5Checkpoint(path: path)
    let tensor = try #require(file.tensors.first { $0.name == name })
    let count = try #require(tensor.shape.elementCount)
    var bytes = [UInt8](repeating: 0, count: count * 4)
    try bytes.withUnsafeMutableBytes { try file.read(0..<count, of: tensor, into: $0) }
    return Tensor(elementType: .float32, shape: [count], bytes: bytes).elements() ?? []
  }

  @Test func `variables are filled, biases added, random state is the model's`() async throws {
    let stored = try modules()
    let keras = try TorchToKeras(from: stored.checkpoint, like: template)
    let path = "\(folder.path)/out.weights.h5"
    _ = try await CheckpointConversion(
      of: keras.checkpoint,
      plan: try ConversionPlan(keras.rules, of: keras.checkpoint)
    ).write(to: path, format: .kerasWeights)
    #expect(try floats("layers/dense/vars/0", path) == [0, 2, 4, 1, 3, 5])
    #expect(try floats("layers/lstm/cell/vars/2", path) == (0..<8).map { Float(2 * $0) })
    #expect(try floats("layers/dropout/seed_generator/vars/0", path) == [0, 0])
    #expect(keras.rules.notes.contains { $0.contains("the sum with lstm.bias_hh_l0") })
  }

  @Test func `a module has the name that is given, or is missing by name`() throws {
    let stored = try modules { tensors in
      tensors["fc.weight"] = tensors.removeValue(forKey: "dense.weight")
      tensors["fc.bias"] = tensors.removeValue(forKey: "dense.bias")
    }
    let error = #expect(throws: TesseraError.self) {
      try TorchToKeras(from: stored.checkpoint, like: template)
    }
    #expect(error?.place == "dense.weight")
    let keras = try TorchToKeras(
      from: stored.checkpoint,
      like: template,
      modules: ["dense": "fc"]
    )
    #expect(keras.rules.rules.contains { $0.sources.first?.name == "fc.weight" })
    #expect(throws: TesseraError.self) {
      try TorchToKeras(from: stored.checkpoint, like: template, modules: ["dance": "fc"])
    }
  }

  @Test func `another shape is named with the layer's`() throws {
    let stored = try modules {
      $0["dense.weight"] = Tensor(shape: [2, 3], floats: Self.zeros([6]))
    }
    let error = #expect(throws: TesseraError.self) {
      try TorchToKeras(from: stored.checkpoint, like: template)
    }
    #expect(error?.description.contains("[2, 3]") == true)
    #expect(error?.description.contains("takes [3, 2]") == true)
  }
}
