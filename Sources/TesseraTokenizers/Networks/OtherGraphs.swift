import TesseraCheckpoints
internal import TesseraCore

/// The shape of a family's network: which function of names and shapes gives its graphs.
enum NetworkArchitecture: Hashable, Sendable {
  /// The convolutional autoencoder of taming-transformers, with what a family has otherwise.
  case autoencoder(AutoencoderConfiguration.Traits)
  /// The classic VQ-VAE.
  case vqVAE
  /// DALL-E's dVAE: the encoder alone.
  case dVAE
  /// Su Jianlin's FSQ network.
  case finiteScalar

  /// The graphs of the halves that there are.
  ///
  /// - Parameters:
  ///   - shapes: The tensors by the graphs' names.
  ///   - hasLogits: Whether a projection to logits follows the encoder (taming's Gumbel models).
  /// - Returns: The graphs, and what the tensors say against each other.
  /// - Throws: The first name that says that the weights are not of this kind, or incomplete.
  func graphs(
    _ shapes: [String: Shape],
    hasLogits: Bool
  ) throws(TesseraError) -> ArchitectureGraphs {
    switch self {
    case .autoencoder(let traits):
      let configuration = try AutoencoderConfiguration(shapes: shapes, traits: traits)
      var encoder = try configuration.encoderGraph()
      if hasLogits, let graph = encoder { encoder = try Self.logits(after: graph, shapes) }
      return ArchitectureGraphs(
        encoder: encoder,
        decoder: try configuration.decoderGraph(),
        disagreements: configuration.disagreements()
      )
    case .vqVAE:
      return try VQVAEGraphs(shapes: shapes, names: TensorNames(shapes.keys)).graphs()
    case .dVAE:
      return try DiscreteVAEGraph(shapes: shapes, names: TensorNames(shapes.keys)).graphs()
    case .finiteScalar: return try FiniteScalarGraphs(shapes: shapes).graphs()
    }
  }
}

/// What the names and shapes of a checkpoint say of its networks.
struct ArchitectureGraphs: Sendable {
  var encoder: NetworkGraph?
  var decoder: NetworkGraph?
  /// The tensors that are missing by what the others say, though each half alone is a network.
  var disagreements: [TesseraError] = []
}

extension NetworkArchitecture {
  /// The projection to logits that Gumbel models have.
  private static func logits(
    after graph: NetworkGraph,
    _ shapes: [String: Shape]
  ) throws(TesseraError) -> NetworkGraph {
    let projection = try ConvolutionShapes(shapes: shapes).convolution("quantize.proj", .pointwise)
    return try NetworkGraph(
      inputChannels: graph.inputChannels,
      inputPatch: graph.inputPatch,
      layers: graph.layers + [projection]
    )
  }
}

/// The shapes of convolutions, asked by name.
private struct ConvolutionShapes {
  let shapes: [String: Shape]

  /// [out, in, extent, extent].
  func kernel(_ name: String) throws(TesseraError) -> (output: Int, input: Int) {
    guard let shape = shapes["\(name).weight"] else {
      throw .incomplete(name: "\(name).weight", reason: "every network of the family has it")
    }
    guard shape.rank == 4, shape[2] == shape[3] else {
      throw .unrecognized(name: "\(name).weight", reason: "\(shape) is no square convolution")
    }
    return (shape[0], shape[1])
  }

  func convolution(
    _ name: String,
    _ geometry: Convolution.Geometry,
    hasBias: Bool = true
  ) throws(TesseraError) -> NetworkLayer {
    let (first, second) = try kernel(name)
    let isTransposed = geometry == .doublingTransposed
    return .convolution(
      Convolution(
        name,
        isTransposed ? first : second,
        isTransposed ? second : first,
        geometry,
        hasBias: hasBias
      )
    )
  }
}

/// conv 4x4, ReLU, conv 4x4, ReLU, conv 3x3, residual layers, ReLU, 1x1; mirrored by the decoder.
///
/// A residual layer's first ReLU works in place, so what is added to is ReLU(x), too. The number of residual
/// layers is the decoder's, too, and nothing else says it: neither half is taken alone.
private struct VQVAEGraphs {
  let shapes: [String: Shape]
  let names: TensorNames

  func graphs() throws(TesseraError) -> ArchitectureGraphs {
    let counts = ["_encoder", "_decoder"].map { (half: $0, count: names.count(layers(of: $0))) }
    let most = counts.map(\.count).max() ?? 0
    let fewer = counts.filter { $0.count < most }.map { half, count in
      TesseraError.incomplete(
        name: "\(layers(of: half)).\(count)._block.1.weight",
        reason: "the other half has \(most) residual layers"
      )
    }
    return ArchitectureGraphs(
      encoder: try encoder(),
      decoder: try decoder(),
      disagreements: fewer
    )
  }

  private func layers(of half: String) -> String { "\(half)._residual_stack._layers" }

  private func encoder() throws(TesseraError) -> NetworkGraph {
    let net = ConvolutionShapes(shapes: shapes)
    return try NetworkGraph(
      inputChannels: 3,
      layers: [
        try net.convolution("_encoder._conv_1", .halvingFour), .activation(.relu),
        try net.convolution("_encoder._conv_2", .halvingFour), .activation(.relu),
        try net.convolution("_encoder._conv_3", .same),
      ] + (try residuals("_encoder")) + [
        .activation(.relu), try net.convolution("_pre_vq_conv", .pointwise),
      ]
    )
  }

  private func decoder() throws(TesseraError) -> NetworkGraph {
    let net = ConvolutionShapes(shapes: shapes)
    return try NetworkGraph(
      inputChannels: try net.kernel("_decoder._conv_1").input,
      layers: [try net.convolution("_decoder._conv_1", .same)] + (try residuals("_decoder")) + [
        .activation(.relu), try net.convolution("_decoder._conv_trans_1", .doublingTransposed),
        .activation(.relu), try net.convolution("_decoder._conv_trans_2", .doublingTransposed),
      ]
    )
  }

  private func residuals(_ half: String) throws(TesseraError) -> [NetworkLayer] {
    let net = ConvolutionShapes(shapes: shapes)
    var layers: [NetworkLayer] = []
    for index in 0..<names.count(self.layers(of: half)) {
      let name = "\(self.layers(of: half)).\(index)._block"
      layers += [
        .activation(.relu),
        .residual(
          ResidualBlock(body: [
            try net.convolution("\(name).1", .same, hasBias: false), .activation(.relu),
            try net.convolution("\(name).3", .pointwise, hasBias: false),
          ])
        ),
      ]
    }
    return layers
  }
}

/// conv 7x7, four groups of blocks with a maximum of 2x2 positions after all but the last, ReLU, 1x1 to logits.
///
/// The gain of the blocks' results is part of their last convolutions' weights. All groups have as many blocks.
private struct DiscreteVAEGraph {
  /// DALL-E's encoder has as many, and so has every port of it.
  private static let groups = 4

  let shapes: [String: Shape]
  let names: TensorNames

  func graphs() throws(TesseraError) -> ArchitectureGraphs {
    let net = ConvolutionShapes(shapes: shapes)
    var layers = [try net.convolution("blocks.input", .sameSeven)]
    let blocks =
      (1...Self.groups).flatMap { group in (1...64).map { (group, $0) } }
      .filter { names.has(name($0.0, $0.1)) }.map(\.1).max() ?? 1
    for group in 1...Self.groups {
      if group > 1 { layers.append(.pooling(.maximum)) }
      for index in 1...blocks { layers.append(try block(name(group, index))) }
    }
    layers += [.activation(.relu), try net.convolution("blocks.output.conv", .pointwise)]
    return ArchitectureGraphs(encoder: try NetworkGraph(inputChannels: 3, layers: layers))
  }

  private func name(_ group: Int, _ block: Int) -> String {
    "blocks.group_\(group).group.block_\(block)"
  }

  private func block(_ name: String) throws(TesseraError) -> NetworkLayer {
    let net = ConvolutionShapes(shapes: shapes)
    var body: [NetworkLayer] = []
    for index in 1...4 {
      body.append(.activation(.relu))
      body.append(
        try net.convolution("\(name).res_path.path.conv_\(index)", index == 4 ? .pointwise : .same)
      )
    }
    // The shortcut is the identity where the channels stay.
    let input = try net.kernel("\(name).res_path.path.conv_1").input
    let output = try net.kernel("\(name).res_path.path.conv_4").output
    let shortcut =
      input == output ? nil : Convolution("\(name).id_path", input, output, .pointwise)
    return .residual(ResidualBlock(body: body, shortcut: shortcut))
  }
}

/// Su Jianlin's network: 3x3 convolutions without bias; blocks of two with SiLU, their sum through a group
/// norm of interleaved groups.
///
/// The names are `conv.N` and `norm.N` in the order in which the layers run.
private struct FiniteScalarGraphs {
  let shapes: [String: Shape]
  private let names: TensorNames

  /// Images of 128 pixels become 16 x 16 positions: three blocks end with a mean of 2x2.
  private static let halvings = 3
  /// Su's network has seven in each half, and nothing in a file but their count says so.
  private static let blocks = 7

  init(shapes: [String: Shape]) {
    self.shapes = shapes
    names = TensorNames(shapes.keys)
  }

  func graphs() throws(TesseraError) -> ArchitectureGraphs {
    ArchitectureGraphs(encoder: try encoder(), decoder: try decoder())
  }

  private func encoder() throws(TesseraError) -> NetworkGraph? {
    guard names.has("encoder") else { return nil }
    let layers = try layers("encoder") { block in
      block < Self.halvings ? [.pooling(.average)] : []
    }
    return try NetworkGraph(inputChannels: 3, layers: layers)
  }

  private func decoder() throws(TesseraError) -> NetworkGraph? {
    guard names.has("decoder") else { return nil }
    let channels = try ConvolutionShapes(shapes: shapes).kernel("decoder.conv.0").input
    let layers = try layers("decoder") { _ in [] }
    return try NetworkGraph(inputChannels: channels, layers: layers + [.activation(.tanh)])
  }

  /// The first convolution, the blocks, a norm, the last convolution.
  private func layers(
    _ half: String,
    after: (_ block: Int) -> [NetworkLayer]
  ) throws(TesseraError) -> [NetworkLayer] {
    let net = ConvolutionShapes(shapes: shapes)
    let (blocks, count) = (Self.blocks, 2 * Self.blocks + 2)
    let found = names.count("\(half).conv")
    guard found >= count else {
      throw .incomplete(
        name: "\(half).conv.\(found).weight",
        reason: "two convolutions for each of \(blocks) blocks, one before them and one after"
      )
    }
    var layers = [try net.convolution("\(half).conv.0", .same, hasBias: false)]
    for block in 0..<blocks {
      // The decoder doubles the extents before its last blocks, the encoder halves them after its first.
      let doubles = half == "decoder" && block >= blocks - Self.halvings
      layers += try self.block(half, block, doubles: doubles)
      layers += after(block)
    }
    let channels = try net.kernel("\(half).conv.\(count - 1)").input
    layers.append(.normalization(norm("\(half).norm.\(blocks)", channels)))
    layers.append(try net.convolution("\(half).conv.\(count - 1)", .same, hasBias: false))
    return layers
  }

  private func block(
    _ half: String,
    _ index: Int,
    doubles: Bool
  ) throws(TesseraError) -> [NetworkLayer] {
    let net = ConvolutionShapes(shapes: shapes)
    let first = "\(half).conv.\(2 * index + 1)"
    let channels = try net.kernel(first).input
    return (doubles ? [.upsampling] : []) + [
      .residual(
        ResidualBlock(body: [
          try net.convolution(first, .same, hasBias: false), .activation(.silu),
          try net.convolution("\(half).conv.\(2 * index + 2)", .same, hasBias: false),
          .activation(.silu),
        ])
      ),
      .normalization(norm("\(half).norm.\(index)", channels)),
    ]
  }

  private func norm(_ name: String, _ channels: Int) -> GroupNormalization {
    GroupNormalization(name, channels, activates: false, isInterleaved: true)
  }
}
