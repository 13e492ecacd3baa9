import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// The weights of an EDM network by what the noise level has to do with them.
///
/// Names are those of NVlabs/edm's SongUNet (`dec.32x32_aux_conv`) and DhariwalUNet (`out_conv`).
struct NoiseConditionedNetwork: Sendable {
  /// A block's projection of the embedding.
  struct Affine: Sendable {
    let weight: TensorInfo
    let bias: TensorInfo
  }

  /// Whose forward pass the embedding follows.
  enum Architecture {
    case song, dhariwal
  }

  let base: any CheckpointReader
  let architecture: Architecture
  /// Convolutions that see the image: their weights are scaled, not their biases.
  let firstConvolutions: [TensorInfo]
  /// Weights and biases of the convolutions whose sum is the output.
  let lastConvolutions: [TensorInfo]
  let affines: [Affine]
  /// What stands before `map_layer0.weight`: `model.` inside of EDMPrecond, or nothing.
  let prefix: String
  private let table: [String: TensorInfo]

  init(_ base: any CheckpointReader) throws {
    self.base = base
    let table = Dictionary(base.tensors.map { ($0.name, $0) }) { first, _ in first }
    let layers = base.tensors.filter { $0.name.hasSuffix("map_layer0.weight") }
    guard layers.count == 1, let layer = layers.first else {
      let cause =
        "\(layers.count) tensors end in 'map_layer0.weight', and one network of EDM's has one"
      throw TesseraError.mismatch(
        cause + "; choose it with --pick",
        place: "'\(layers.first?.name ?? "")'"
      )
    }
    let prefix = String(layer.name.dropLast("map_layer0.weight".count))
    (self.prefix, self.table) = (prefix, table)
    let inside = base.tensors.filter { $0.name.hasPrefix(prefix) }
    let isDhariwal = table[prefix + "out_conv.weight"] != nil
    architecture = isDhariwal ? .dhariwal : .song
    firstConvolutions = try NoiseConditionedNetwork.first(of: inside, prefix)
    lastConvolutions = inside.filter { tensor in
      let name = tensor.name.dropFirst(prefix.count)
      return isDhariwal
        ? name.hasPrefix("out_conv.")
        : name.hasPrefix("dec.") && name.contains("_aux_conv.") && !name.contains("resample_filter")
    }
    guard !lastConvolutions.isEmpty else {
      let cause = "the network has neither 'out_conv' nor 'dec.…_aux_conv'"
      throw TesseraError.mismatch(cause, place: "'\(layer.name)'")
    }
    affines = try inside.filter { $0.name.hasSuffix(".affine.weight") }.map { weight in
      let name = weight.name.dropLast("weight".count) + "bias"
      guard let bias = table[String(name)], weight.shape.rank == 2, bias.shape == [weight.shape[0]]
      else {
        throw TesseraError.mismatch("no bias '\(name)' of its height", place: "'\(weight.name)'")
      }
      return Affine(weight: weight, bias: bias)
    }
  }

  /// The encoder's convolutions of the image.
  private static func first(of tensors: [TensorInfo], _ prefix: String) throws -> [TensorInfo] {
    let encoder = tensors.filter { $0.name.hasPrefix(prefix + "enc.") && $0.shape.rank == 4 }
    let first = encoder.filter { $0.name.hasSuffix("_conv.weight") }
    guard first.count == 1, let channels = first.first?.shape[1] else {
      let cause = "\(first.count) convolutions are named 'enc.…_conv', and the image enters by one"
      throw TesseraError.mismatch(cause, place: "'\(first.first?.name ?? prefix + "enc")'")
    }
    // NCSN++ shows the image, scaled down, to every level ('skip') or to the first one ('residual').
    let skips = encoder.filter { $0.name.hasSuffix("_aux_skip.weight") }
    let residuals = encoder.filter { $0.name.hasSuffix("_aux_residual.weight") }
    let residual = residuals.max { side(of: $0.name, prefix) < side(of: $1.name, prefix) }
    if let residual, residual.shape[1] != channels {
      throw TesseraError.mismatch(
        "takes \(residual.shape[1]) channels, not the image's",
        place: "'\(residual.name)'"
      )
    }
    return first + skips + (residual.map { [$0] } ?? [])
  }

  /// The resolution that a name of the encoder begins with, whatever the order of the file.
  private static func side(of name: String, _ prefix: String) -> Int {
    Int(name.dropFirst(prefix.count + "enc.".count).prefix { $0 != "x" }) ?? 0
  }

  /// A tensor of the network, by its name behind the prefix.
  func tensor(_ name: String) -> TensorInfo? { table[prefix + name] }

  /// The names of the layers that make the embedding.
  var embeddingNames: Set<String> {
    let layers = ["map_layer0.", "map_layer1.", "map_label.", "map_augment.", "map_noise."]
    return Set(
      table.keys.filter { name in layers.contains { name.hasPrefix(prefix + $0) } }
    )
  }

  /// A linear layer of the network, by its name behind the prefix.
  func layer(_ name: String) throws -> DenseLayer {
    try DenseLayer(
      prefix + "\(name).weight",
      weight: tensor("\(name).weight"),
      bias: tensor("\(name).bias"),
      of: base
    )
  }
}
