import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// The embedding of one noise level, and of each class label with it, in double precision.
struct NoiseEmbedding: Sendable {
  /// One embedding; with labels one a label.
  private let embeddings: [[Double]]
  /// The number of labels, 0 for none.
  let labels: Int
  private let base: any CheckpointReader

  init(of network: NoiseConditionedNetwork, noise: Double) throws {
    base = network.base
    let first = try network.layer("map_layer0")
    let second = try network.layer("map_layer1")
    let label = try network.tensor("map_label.weight").map { _ in try network.layer("map_label") }
    labels = label?.inputs ?? 0
    let start = try NoiseEmbedding.start(network, channels: first.inputs, noise: noise)
    var embeddings: [[Double]] = []
    for index in 0..<max(labels, 1) {
      var values = start
      switch network.architecture {
      case .song:
        // The label is a one-hot vector times sqrt(labels), projected before the two layers.
        if let label {
          let change = label.column(index, times: Double(labels).squareRoot())
          guard change.count == values.count else { throw label.mismatch(values.count) }
          for position in values.indices { values[position] += change[position] }
        }
        values = try second(first(values).map(NoiseEmbedding.silu)).map(NoiseEmbedding.silu)
      case .dhariwal:
        values = try second(first(values).map(NoiseEmbedding.silu))
        if let label {
          let change = label.column(index, times: 1)
          guard change.count == values.count else { throw label.mismatch(values.count) }
          for position in values.indices { values[position] += change[position] }
        }
        values = values.map(NoiseEmbedding.silu)
      }
      embeddings.append(values)
    }
    guard embeddings.allSatisfy({ $0.allSatisfy(\.isFinite) }) else {
      let name = network.prefix + "map_layer1.weight"
      let cause = "the embedding of the noise level has values that are not finite"
      throw TesseraError.limit(cause, place: "'\(name)'")
    }
    self.embeddings = embeddings
  }

  /// x / (1 + e^-x).
  static func silu(_ x: Double) -> Double { x / (1 + ElementaryFunctions.exp(-x)) }

  /// The sinusoids (or random Fourier features) of the noise level.
  private static func start(
    _ network: NoiseConditionedNetwork,
    channels: Int,
    noise: Double
  ) throws -> [Double] {
    let half = channels / 2
    var angles: [Double]
    if let tensor = network.tensor("map_noise.freqs") {
      angles = try network.base.floats(of: tensor).map { Double(Float(2 * Double.pi) * $0) * noise }
      guard angles.count == half else {
        throw TesseraError.mismatch(
          "\(angles.count) frequencies, and \(half) are due",
          place: "'\(tensor.name)'"
        )
      }
    } else {
      // SongUNet reaches the lowest frequency itself (endpoint), DhariwalUNet stops before it.
      let last = network.architecture == .song ? half - 1 : half
      guard half > 1, channels.isMultiple(of: 2) else {
        let cause = "takes \(channels) channels of noise, and sinusoids come in pairs"
        throw TesseraError.mismatch(cause, place: "'\(network.prefix + "map_layer0.weight")'")
      }
      let step = ElementaryFunctions.log(10_000) / Double(last)
      angles = (0..<half).map { ElementaryFunctions.exp(-step * Double($0)) * noise }
    }
    let cosines = angles.map { cos($0) }
    let sines = angles.map { sin($0) }
    return network.architecture == .song ? sines + cosines : cosines + sines
  }

  /// What a block's affine layer makes of the embedding of this noise level and a label.
  func values(of affine: NoiseConditionedNetwork.Affine, label: Int) throws -> [Double] {
    try DenseLayer(affine.bias.name, weight: affine.weight, bias: affine.bias, of: base)(
      embeddings[label]
    )
  }

  /// A block's affine layer at this noise level.
  func folded(_ affine: NoiseConditionedNetwork.Affine) throws -> ComputedTensor {
    let (outputs, inputs) = (affine.weight.shape[0], affine.weight.shape[1])
    guard embeddings.allSatisfy({ $0.count == inputs }) else {
      let cause = "takes \(inputs) values, and the embedding has \(embeddings[0].count)"
      throw TesseraError.mismatch(cause, place: "'\(affine.weight.name)'")
    }
    let name = affine.bias.name
    let isTable = labels > 0
    let info = TensorInfo(
      name: isTable ? name.dropLast("bias".count) + "table" : name,
      elementType: affine.bias.elementType,
      shape: isTable ? [labels, outputs] : [outputs]
    )
    return ComputedTensor(info: info) { [base, embeddings] rows in
      let layer = try DenseLayer(name, weight: affine.weight, bias: affine.bias, of: base)
      guard isTable else { return try layer(embeddings[0])[rows].map { Float($0) } }
      return try rows.flatMap { try layer(embeddings[$0]).map { Float($0) } }
    }
  }
}
