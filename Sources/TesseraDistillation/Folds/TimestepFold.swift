import Foundation
package import TesseraCheckpoints
import TesseraCore
package import TesseraRules

/// A one-step generator of the latent-diffusion kind, folded at the one time step where it runs.
///
/// SiD-LSG (arXiv 2406.01561) evaluates a UNet of Stable Diffusion once, at x_t = sqrt(1 - ᾱ) z, and takes
/// the estimate of x_0 as its image. Time is a constant there: the layers that embed it go, each block's
/// projection of the embedding enters the bias of its first convolution, and the factors of input and
/// output enter the first and last convolution. What stays is one addition: G(z) = U'(z) + skip z.
package struct TimestepFold: Sendable {
  /// What the network was trained to predict.
  package enum Prediction: String, Sendable, Hashable, CaseIterable {
    /// The noise ε (Stable Diffusion 1.5, 2.1-base).
    case epsilon
    /// v = sqrt(ᾱ) ε - sqrt(1 - ᾱ) x_0 (Stable Diffusion 2.1).
    case velocity = "v-prediction"
  }

  /// The noise schedule of Stable Diffusion ("scaled linear") at one of its 1000 steps.
  package struct Constants: Sendable, Hashable {
    /// The step.
    package let timestep: Int
    /// What the network predicts.
    package let prediction: Prediction
    /// ᾱ: the share of the image's variance that is left at the step.
    package let signal: Double

    /// The steps of the schedule.
    package static let steps = 0..<1000

    /// Creates constants; the step must be one of ``steps``.
    package init(timestep: Int, prediction: Prediction) {
      precondition(Constants.steps.contains(timestep), "a step of the schedule")
      (self.timestep, self.prediction) = (timestep, prediction)
      let (first, last) = (0.00085.squareRoot(), 0.012.squareRoot())
      signal = (0...timestep).reduce(1.0) { product, step in
        let root = first + (last - first) * Double(step) / 999
        return product * (1 - root * root)
      }
    }

    /// What the first convolution's weights are multiplied by.
    package var input: Double { (1 - signal).squareRoot() }
    /// What the last convolution is multiplied by.
    package var output: Double { prediction == .epsilon ? -noiseToSignal : -input }
    /// The factor of z in the image.
    package var skip: Double {
      prediction == .epsilon ? noiseToSignal : (signal * (1 - signal)).squareRoot()
    }
    /// sqrt((1 - ᾱ) / ᾱ): the noise level in EDM's terms, 2.5017 at step 625.
    package var noiseToSignal: Double { ((1 - signal) / signal).squareRoot() }
  }

  /// The folded weights.
  package let checkpoint: ComputedCheckpoint

  /// Layers whose result is added to the embedding of time, so that it is no constant.
  private static let otherEmbeddings = [
    "time_embedding.cond_proj", "add_embedding", "class_embedding", "encoder_hid_proj",
  ]

  /// Folds the weights of diffusers' UNet2DConditionModel.
  ///
  /// - Parameters:
  ///   - base: The generator's weights alone, under diffusers' names.
  ///   - constants: The time step and what the network predicts.
  /// - Throws: `TesseraError` where the names are others, or the embedding depends on more than time.
  package init(of base: any CheckpointReader, constants: Constants) throws {
    let table = Dictionary(base.tensors.map { ($0.name, $0) }) { first, _ in first }
    try TimestepFold.check(table)
    let embedding = try TimestepFold.embedding(of: base, table, timestep: constants.timestep)
    var computed: [ComputedTensor] = []
    var removed: Set<String> = []
    for tensor in base.tensors {
      switch tensor.name {
      case "conv_in.weight": computed.append(base.scaled(tensor, by: constants.input))
      case "conv_out.weight", "conv_out.bias":
        computed.append(base.scaled(tensor, by: constants.output))
      default:
        if tensor.name.hasPrefix("time_embedding.") { removed.insert(tensor.name) }
        guard tensor.name.hasSuffix(".time_emb_proj.weight") else { continue }
        let block = String(tensor.name.dropLast("time_emb_proj.weight".count))
        computed.append(try TimestepFold.bias(of: block, base, table, embedding))
        removed.formUnion([tensor.name, "\(block)time_emb_proj.bias"])
      }
    }
    checkpoint = try ComputedCheckpoint(
      base,
      computing: computed,
      removing: removed,
      attributes: [
        "tessera.fold.timestep": "\(constants.timestep)",
        "tessera.fold.prediction": constants.prediction.rawValue,
        "tessera.fold.sigma": "\(constants.noiseToSignal)",
        "tessera.fold.skip": "\(constants.skip)",
        "tessera.fold.c_in": "\(constants.input)", "tessera.fold.c_out": "\(constants.output)",
      ],
      notes: [
        "folded at time step \(constants.timestep): latent = network(z, text) + \(constants.skip) z for "
          + "z ~ N(0, 1), without an embedding of time; not reversible"
      ]
    )
  }

  /// Refuses networks whose names are others, or whose embedding is not of time alone.
  private static func check(_ table: [String: TensorInfo]) throws(TesseraError) {
    for name in [
      "conv_in.weight", "conv_out.weight", "conv_out.bias", "time_embedding.linear_1.weight",
    ]
    where table[name] == nil {
      let cause =
        "missing: a time step is folded into a UNet2DConditionModel with diffusers' names; EDM's networks "
        + "are folded by --fold-sigma"
      throw TesseraError.mismatch(cause, place: "'\(name)'")
    }
    if let other = table.keys.sorted().first(where: { name in
      TimestepFold.otherEmbeddings.contains { name.hasPrefix($0) }
    }) {
      let cause = "the embedding depends on more than the time step; nothing is folded exactly"
      throw TesseraError.mismatch(cause, place: "'\(other)'")
    }
  }

  /// SiLU of the embedding of a time step: what every block projects.
  private static func embedding(
    of base: any CheckpointReader,
    _ table: [String: TensorInfo],
    timestep: Int
  ) throws -> [Double] {
    func layer(_ name: String) throws -> DenseLayer {
      let name = "time_embedding.\(name)"
      return try DenseLayer(
        "\(name).weight",
        weight: table["\(name).weight"],
        bias: table["\(name).bias"],
        of: base
      )
    }
    let (first, second) = (try layer("linear_1"), try layer("linear_2"))
    let half = first.inputs / 2
    guard half > 0, first.inputs.isMultiple(of: 2) else { throw first.mismatch(2 * half) }
    // Cosines first, and the lowest frequency stops before 1/10000: Stable Diffusion's settings.
    let step = ElementaryFunctions.log(10_000) / Double(half)
    let angles = (0..<half).map { Double(timestep) * ElementaryFunctions.exp(-step * Double($0)) }
    let start = angles.map { cos($0) } + angles.map { sin($0) }
    let embedding = try second(first(start).map(NoiseEmbedding.silu)).map(NoiseEmbedding.silu)
    guard embedding.allSatisfy(\.isFinite) else {
      let cause = "the embedding of the time step has values that are not finite"
      throw TesseraError.limit(cause, place: "'\(second.name)'")
    }
    return embedding
  }

  /// The bias of a block's first convolution with the projected embedding.
  private static func bias(
    of block: String,
    _ base: any CheckpointReader,
    _ table: [String: TensorInfo],
    _ embedding: [Double]
  ) throws -> ComputedTensor {
    let name = "\(block)time_emb_proj.weight"
    guard let bias = table["\(block)conv1.bias"], let weight = table[name],
      weight.shape == [bias.shape.elementCount ?? 0, embedding.count]
    else {
      let cause =
        "projects the embedding of time to other than one value for each channel of conv1; scale and shift "
        + "stand behind a normalisation and are not folded"
      throw TesseraError.mismatch(cause, place: "'\(name)'")
    }
    let info = TensorInfo(name: bias.name, elementType: bias.elementType, shape: bias.shape)
    return ComputedTensor(info: info) { rows in
      let layer = try DenseLayer(
        name,
        weight: weight,
        bias: table["\(block)time_emb_proj.bias"],
        of: base
      )
      let values = try base.floats(of: bias)
      return zip(values, try layer(embedding)).map { Float(Double($0) + $1) }[rows].map { $0 }
    }
  }
}
