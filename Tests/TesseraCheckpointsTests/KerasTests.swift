import Fixtures
import Foundation
import TesseraCheckpoints
import TesseraCore
import Testing

/// A variable as Keras itself reports it, written by fixtures/weights/make_keras.py.
private struct KerasGolden: Decodable {
  let path: [String]
  let `class`: String
  let variable: String
  let shape: [Int]
  let dtype: String
  let sha256: String

  static func list(_ name: String) throws -> [KerasGolden] {
    let path = Fixtures.path("weights/keras/\(name).json")
    let data = try #require(FileManager.default.contents(atPath: path))
    return try JSONDecoder().decode([KerasGolden].self, from: data)
  }
}

private func path(_ name: String) -> String { Fixtures.path("weights/keras/\(name)") }

@Suite struct KerasTests {
  @Test(arguments: [
    ("zoo", "h5"), ("zoo", "keras"), ("nested", "h5"), ("nested", "keras"),
    ("nested", "weights.h5"), ("bfloat16", "h5"), ("bfloat16", "keras"),
    ("bfloat16", "weights.h5"),
  ])
  func `each variable stands under the layer, class and role that Keras gives it`(
    _ name: String,
    _ suffix: String
  ) throws {
    let checkpoint = try HDF5Checkpoint(path: path("\(name).\(suffix)"))
    let model = try KerasModel(reading: checkpoint)
    var waiting = Dictionary(
      uniqueKeysWithValues: try KerasGolden.list(name).map { ($0.sha256, $0) }
    )
    for layer in model.layers {
      for variable in layer.variables {
        let digest = try checkpoint.digest(of: variable.tensor)
        let golden = try #require(waiting[digest], "\(variable.tensor.name)")
        waiting[digest] = nil
        #expect(variable.role.split(separator: ".").last == Substring(golden.variable))
        #expect(variable.tensor.shape.dimensions == golden.shape)
        check(layer, against: golden)
      }
    }
    #expect(waiting.isEmpty, "\(waiting.values.map(\.path))")
  }

  /// Keras' path begins with the model and ends with the cell or projection inside the layer.
  private func check(_ layer: KerasLayer, against golden: KerasGolden) {
    for (ours, theirs) in zip(layer.path, golden.path.dropFirst()) {
      let isHalf = ours == "forward_layer" || ours == "backward_layer"
      #expect(isHalf ? theirs.hasPrefix(ours.replacing("layer", with: "")) : ours == theirs)
    }
    switch layer.className {
    case "LSTM", "GRU", "SimpleRNN": #expect(golden.class == "\(layer.className)Cell")
    case "MultiHeadAttention": #expect(golden.class == "EinsumDense")
    default: #expect(golden.class == layer.className)
    }
  }

  @Test(arguments: ["h5", "keras"]) func `layers stand in the model's order`(_ suffix: String)
    throws
  {
    let checkpoint = try HDF5Checkpoint(path: path("nested.\(suffix)"))
    let names = try KerasModel(reading: checkpoint).layers.map { $0.path.joined(separator: ".") }
    let dense = (1...11).map { "dense_\($0)" }
    #expect(
      names == ["middle.inner.dense", "middle.inner.batch_normalization", "middle.last"] + dense
    )
  }

  @Test(arguments: ["h5", "keras"])
  func `attention has four projections, and both directions stand in order`(_ suffix: String) throws
  {
    let model = try KerasModel(reading: HDF5Checkpoint(path: path("zoo.\(suffix)")))
    let attention = try #require(model.layers.first { $0.className == "MultiHeadAttention" })
    let roles = ["query", "key", "value", "output"].flatMap { ["\($0).kernel", "\($0).bias"] }
    #expect(attention.variables.map(\.role) == roles)
    #expect(attention["query.kernel"]?.shape == [6, 3, 4])
    #expect(attention.configuration.integer("num_heads") == 3)
    let halves = model.layers.filter { $0.wrappers == ["Bidirectional"] }
    #expect(halves.map(\.path.last) == ["forward_layer", "backward_layer"])
    #expect(halves.map(\.className) == ["LSTM", "LSTM"])
    let distributed = try #require(model.layers.first { $0.wrappers == ["TimeDistributed"] })
    #expect(distributed.path == ["time_distributed"])
    let gru = try #require(model.layers.first { $0.className == "GRU" })
    #expect(gru.configuration.bool("reset_after") == true)
    let norm = try #require(model.layers.first { $0.className == "BatchNormalization" })
    #expect(norm.configuration.number("epsilon") == 0.001)
  }

  @Test func `numeric order of vars`() throws {
    let model = try KerasModel(reading: HDF5Checkpoint(path: path("nested.keras")))
    let optimizer = model.dropped.filter { $0.reason == .optimizerState }.map(\.tensor.name)
    #expect(optimizer == (0..<58).map { "optimizer/vars/\($0)" })
  }

  @Test func `random state of dropout is dropped by name`() throws {
    let checkpoint = try HDF5Checkpoint(path: path("zoo.keras"))
    let model = try KerasModel(reading: checkpoint)
    let seeds = checkpoint.tensors.filter { $0.name.contains("seed_generator") }
    #expect(model.dropped.filter { $0.reason == .randomState }.map(\.tensor) == seeds)
    let placed = model.layers.flatMap(\.variables).count
    #expect(placed + model.dropped.count == checkpoint.tensors.count)
  }

  @Test func `roles that only the configuration tells are not guessed`() throws {
    // Without it, a batch normalization of three variables may lack its gamma or its beta.
    let checkpoint = try HDF5Checkpoint(path: path("zoo.weights.h5"))
    let error = #expect(throws: TesseraError.self) { try KerasModel(reading: checkpoint) }
    #expect(error?.kind == .mismatch)
    #expect(error?.description.contains("batch_normalization_1") == true)
  }

  @Test func `chunked layer_names0 and layer_names1, float64 empty weight_names`() throws {
    let checkpoint = try HDF5Checkpoint(path: Fixtures.path("weights/hdf5/attributes.h5"))
    #expect(checkpoint.format == "keras-h5")
    let model = try KerasModel(reading: checkpoint)
    #expect(model.layers.map { $0.path[0].prefix(9) } == ["layer_000", "layer_001"])
    #expect(
      model.layers.map { $0.variables.map(\.role) } == [["kernel", "bias"], ["kernel", "bias"]]
    )
  }

  @Test func `a published Keras 2 model has all its layers`() throws {
    let checkpoint = try HDF5Checkpoint(path: Fixtures.path("weights/fer-emotion.hdf5"))
    #expect(checkpoint.format == "keras-h5")
    #expect(checkpoint.attributes["keras_version"]?.hasPrefix("2.") == true)
    #expect(checkpoint.refusals.isEmpty)
    let model = try KerasModel(reading: checkpoint)
    let classes = Set(model.layers.map(\.className))
    #expect(classes == ["Conv2D", "BatchNormalization", "SeparableConv2D"])
    #expect(
      model.layers.flatMap(\.variables).count + model.dropped.count == checkpoint.tensors.count
    )
    #expect(model.dropped.allSatisfy { $0.reason == .optimizerState })
  }

  @Test func `a plain HDF5 file is no Keras model`() throws {
    let checkpoint = try HDF5Checkpoint(path: Fixtures.path("weights/hdf5/types.h5"))
    #expect(throws: TesseraError.self) { try KerasModel(reading: checkpoint) }
  }
}
