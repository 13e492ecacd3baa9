import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// The forward pass of EDM's two U-Nets at one noise level, in double precision: slow, and right.
///
/// The order of the modules follows from their names, which state resolution and place (Karras et al.,
/// arXiv 2206.00364).
struct GeneratorEvaluation {
  private let network: NoiseConditionedNetwork
  private let embedding: NoiseEmbedding
  private let encoder: [Module]
  private let decoder: [Module]
  private let affines: [String: NoiseConditionedNetwork.Affine]
  /// The channels of the image.
  let channels: Int
  /// The side of the image, as the first module's name says.
  let resolution: Int
  /// The number of class labels; 0 for a network without.
  var labels: Int { embedding.labels }

  /// A module's name behind `enc.` or `dec.`.
  private struct Module {
    let name: String
    let resolution: Int
    /// What follows the resolution, such as `block0` or `aux_down`.
    let role: String
  }

  /// The largest image: 1024 x 1024.
  private static let resolutionLimit = 1024

  init(of base: any CheckpointReader, constants: SigmaFold.Constants) throws {
    network = try NoiseConditionedNetwork(base)
    embedding = try NoiseEmbedding(of: network, noise: constants.noise)
    let prefix = network.prefix
    affines = Dictionary(
      network.affines.map { affine in
        (
          String(affine.weight.name.dropFirst(prefix.count).dropLast(".affine.weight".count)),
          affine
        )
      }
    ) { first, _ in first }
    encoder = try GeneratorEvaluation.modules(
      of: network,
      "enc.",
      ["conv", "down", "aux_down", "aux_skip", "aux_residual", "block"],
      isDescending: true
    )
    decoder = try GeneratorEvaluation.modules(
      of: network,
      "dec.",
      ["in", "up", "block", "aux_up", "aux_norm", "aux_conv"],
      isDescending: false
    )
    guard let first = encoder.first, first.role == "conv",
      let weight = network.tensor("\(first.name).weight"), weight.shape.rank == 4,
      (1...GeneratorEvaluation.resolutionLimit).contains(first.resolution)
    else {
      let cause = "no first convolution 'enc.…_conv' of an image of 1 to 1024 pixels per side"
      throw TesseraError.mismatch(cause, place: "'\(network.prefix + "enc")'")
    }
    channels = weight.shape[1]
    resolution = first.resolution
  }

  /// The modules of a half in the order in which they run.
  private static func modules(
    of network: NoiseConditionedNetwork,
    _ half: String,
    _ roles: [String],
    isDescending: Bool
  ) throws(TesseraError) -> [Module] {
    let start = network.prefix + half
    let names = Set(
      network.base.tensors.map(\.name).filter { $0.hasPrefix(start) }
        .map { String($0.dropFirst(start.count).prefix { $0 != "." }) }
    )
    var ranked: [(key: (Int, Int, Int), module: Module)] = []
    for name in names {
      let side = name.prefix { $0 != "_" }
      let sides = side.split(separator: "x").compactMap { Int($0) }
      let role = String(name.dropFirst(side.count + 1))
      let number = role.drop { !$0.isASCII || !$0.isNumber }
      guard sides.count == 2, sides[0] == sides[1], sides[0] > 0,
        let rank = roles.firstIndex(of: String(role.dropLast(number.count))),
        let position = number.isEmpty ? 0 : Int(number)
      else {
        let cause = "is no module of SongUNet or DhariwalUNet; --golden evaluates these"
        throw TesseraError.mismatch(cause, place: "'\(start + name)'")
      }
      let module = Module(name: half + name, resolution: sides[0], role: role)
      ranked.append(((isDescending ? -sides[0] : sides[0], rank, position), module))
    }
    return ranked.sorted { $0.key < $1.key }.map(\.module)
  }

  /// G(z) = D(σ z; σ) for one latent, rounded once.
  func generated(
    _ latent: [Float],
    label: Int,
    _ constants: SigmaFold.Constants
  ) throws -> [Float] {
    let image = FeatureMap(
      channels: channels,
      height: resolution,
      width: resolution,
      values: latent.map { Double($0) * constants.sigma }
    )
    let result = try self(image.mapped { $0 * constants.input }, label: label)
    guard result.values.count == latent.count else {
      let cause = "makes \(result.channels) channels of the image's \(channels)"
      throw TesseraError.mismatch(cause)
    }
    return zip(result.values, image.values).map { value, noisy in
      Float(constants.output * value + constants.skip * noisy)
    }
  }

  /// F(x) for one image and one label, as the network computes it.
  func callAsFunction(_ image: FeatureMap, label: Int) throws -> FeatureMap {
    var skips: [FeatureMap] = []
    let x = try encoded(image, label, &skips)
    return try decoded(x, label, &skips)
  }

  private func encoded(
    _ image: FeatureMap,
    _ label: Int,
    _ skips: inout [FeatureMap]
  ) throws -> FeatureMap {
    var (x, side) = (image, image)
    for module in encoder {
      let layers = GeneratorLayers(network: network, module: module.name)
      switch module.role {
      case "aux_down": side = try layers.convolve(side, "", .down)
      case "aux_skip":
        x = try sum(x, try layers.convolve(side, ""), layers)
        skips[skips.count - 1] = x
      case "aux_residual":
        let change = try layers.convolve(side, "", .downFused)
        x = try sum(x, change, layers, times: 0.5.squareRoot())
        side = x
        skips[skips.count - 1] = x
      default:
        x = module.role == "conv" ? try layers.convolve(x, "") : try block(module, x, label, layers)
        skips.append(x)
      }
    }
    return x
  }

  private func decoded(
    _ start: FeatureMap,
    _ label: Int,
    _ skips: inout [FeatureMap]
  ) throws -> FeatureMap {
    var x = start
    var (output, normalized): (FeatureMap?, FeatureMap?)
    for module in decoder {
      let layers = GeneratorLayers(network: network, module: module.name)
      switch module.role {
      case "aux_up":
        guard let small = output else { throw layers.failure("", "stands before any output") }
        output = try layers.convolve(small, "", .up)
      case "aux_norm": normalized = try layers.normalize(x, "")
      case "aux_conv":
        guard let input = normalized else {
          throw layers.failure("weight", "has no normalisation before it")
        }
        let image = try layers.convolve(input.activated, "")
        output = try output.map { try sum(image, $0, layers) } ?? image
      default:
        let inputs = network.tensor("\(module.name).norm0.weight")?.shape.elementCount
        if x.channels != inputs, let skip = skips.popLast() {
          guard skip.area == x.area else {
            throw layers.failure("norm0.weight", "joins images of different sizes")
          }
          x = x.joined(with: skip)
        }
        x = try block(module, x, label, layers)
      }
    }
    if network.architecture == .song, let output { return output }
    let norm = GeneratorLayers(network: network, module: "out_norm")
    let last = GeneratorLayers(network: network, module: "out_conv")
    return try last.convolve(try norm.normalize(x, "").activated, "")
  }

  private func sum(
    _ a: FeatureMap,
    _ b: FeatureMap,
    _ layers: GeneratorLayers,
    times factor: Double = 1
  ) throws(TesseraError) -> FeatureMap {
    guard a.values.count == b.values.count else {
      throw layers.failure("weight", "adds images of different sizes")
    }
    return a.plus(b, times: factor)
  }

  /// A block: norm, SiLU, convolution, the embedding, norm, SiLU, convolution, attention.
  private func block(
    _ module: Module,
    _ input: FeatureMap,
    _ label: Int,
    _ layers: GeneratorLayers
  ) throws -> FeatureMap {
    let resampling: GeneratorLayers.Resampling =
      switch module.role {
      case "up": .up
      case "down": .down
      default: .none
      }
    var x = try layers.convolve(try layers.normalize(input, "norm0").activated, "conv0", resampling)
    guard let affine = affines[module.name] else {
      throw layers.failure("affine.weight", "is missing, and every block has one")
    }
    let values = try embedding.values(of: affine, label: label)
    if values.count == 2 * x.channels {
      x = try layers.normalize(x, "norm1")
        .affine(scale: { 1 + values[$0] }, shift: { [count = x.channels] in values[count + $0] })
    } else {
      guard values.count == x.channels else {
        throw layers.failure("affine.weight", "makes \(values.count) values for \(x.channels)")
      }
      x = try layers.normalize(x.affine(scale: { _ in 1 }, shift: { values[$0] }), "norm1")
    }
    x = try layers.convolve(x.activated, "conv1")
    let isResized = layers.holds("skip.weight") || layers.holds("skip.resample_filter")
    let skip = isResized ? try layers.convolve(input, "skip", resampling) : input
    let scale = network.architecture == .song ? 0.5.squareRoot() : 1
    x = try sum(x, skip, layers, times: scale)
    return layers.holds("qkv.weight") ? try sum(try layers.attend(x), x, layers, times: scale) : x
  }
}
