internal import Tensors

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
  /// - Throws: `unrecognized` with the first name that says that the weights are not of this kind.
  func graphs(
    _ shapes: [String: Shape]
  ) throws(NetworkError) -> (encoder: NetworkGraph?, decoder: NetworkGraph?) {
    switch self {
    case .autoencoder(let traits):
      let configuration = try AutoencoderConfiguration(shapes: shapes, traits: traits)
      var encoder = try configuration.encoderGraph()
      if let graph = encoder { encoder = try Self.logits(after: graph, shapes) }
      return (encoder, try configuration.decoderGraph())
    case .vqVAE:
      return (
        try VQVAEGraphs(shapes: shapes).encoder(), try VQVAEGraphs(shapes: shapes).decoder()
      )
    case .dVAE: return (try DiscreteVAEGraph(shapes: shapes).encoder(), nil)
    case .finiteScalar:
      let graphs = FiniteScalarGraphs(shapes: shapes)
      return (try graphs.encoder(), try graphs.decoder())
    }
  }
}

extension NetworkArchitecture {
  /// The projection to logits that Gumbel models have; the graph as it is where there is none.
  private static func logits(
    after graph: NetworkGraph,
    _ shapes: [String: Shape]
  ) throws(NetworkError) -> NetworkGraph {
    guard shapes["quantize.proj.weight"] != nil else { return graph }
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
  func kernel(_ name: String) throws(NetworkError) -> (output: Int, input: Int) {
    guard let shape = shapes["\(name).weight"] else {
      throw .unrecognized(name: "\(name).weight", reason: "missing")
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
  ) throws(NetworkError) -> NetworkLayer {
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
/// A residual layer's first ReLU works in place, so what is added to is ReLU(x), too.
private struct VQVAEGraphs {
  let shapes: [String: Shape]

  func encoder() throws(NetworkError) -> NetworkGraph? {
    guard shapes["_encoder._conv_1.weight"] != nil else { return nil }
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

  func decoder() throws(NetworkError) -> NetworkGraph? {
    guard shapes["_decoder._conv_1.weight"] != nil else { return nil }
    let net = ConvolutionShapes(shapes: shapes)
    return try NetworkGraph(
      inputChannels: try net.kernel("_decoder._conv_1").input,
      layers: [try net.convolution("_decoder._conv_1", .same)] + (try residuals("_decoder")) + [
        .activation(.relu), try net.convolution("_decoder._conv_trans_1", .doublingTransposed),
        .activation(.relu), try net.convolution("_decoder._conv_trans_2", .doublingTransposed),
      ]
    )
  }

  private func residuals(_ half: String) throws(NetworkError) -> [NetworkLayer] {
    let net = ConvolutionShapes(shapes: shapes)
    var layers: [NetworkLayer] = []
    var index = 0
    while shapes["\(half)._residual_stack._layers.\(index)._block.1.weight"] != nil {
      let name = "\(half)._residual_stack._layers.\(index)._block"
      layers += [
        .activation(.relu),
        .residual(
          ResidualBlock(body: [
            try net.convolution("\(name).1", .same, hasBias: false), .activation(.relu),
            try net.convolution("\(name).3", .pointwise, hasBias: false),
          ])
        ),
      ]
      index += 1
    }
    return layers
  }
}

/// conv 7x7, groups of blocks with a maximum of 2x2 positions after all but the last, ReLU, 1x1 to logits.
///
/// The gain of the blocks' results is part of their last convolutions' weights.
private struct DiscreteVAEGraph {
  let shapes: [String: Shape]

  func encoder() throws(NetworkError) -> NetworkGraph? {
    let net = ConvolutionShapes(shapes: shapes)
    var layers = [try net.convolution("blocks.input", .sameSeven)]
    var group = 1
    while shapes["blocks.group_\(group).group.block_1.res_path.path.conv_1.weight"] != nil {
      if group > 1 { layers.append(.pooling(.maximum)) }
      var index = 1
      while shapes["blocks.group_\(group).group.block_\(index).res_path.path.conv_1.weight"] != nil
      {
        layers.append(try block("blocks.group_\(group).group.block_\(index)"))
        index += 1
      }
      group += 1
    }
    layers += [.activation(.relu), try net.convolution("blocks.output.conv", .pointwise)]
    return try NetworkGraph(inputChannels: 3, layers: layers)
  }

  private func block(_ name: String) throws(NetworkError) -> NetworkLayer {
    let net = ConvolutionShapes(shapes: shapes)
    var body: [NetworkLayer] = []
    for index in 1...4 {
      body.append(.activation(.relu))
      body.append(
        try net.convolution("\(name).res_path.path.conv_\(index)", index == 4 ? .pointwise : .same)
      )
    }
    var shortcut: Convolution?
    if shapes["\(name).id_path.weight"] != nil {
      let (output, input) = try net.kernel("\(name).id_path")
      shortcut = Convolution("\(name).id_path", input, output, .pointwise)
    }
    return .residual(ResidualBlock(body: body, shortcut: shortcut))
  }
}

/// Su Jianlin's network: 3x3 convolutions without bias; blocks of two with SiLU, their sum through a group
/// norm of interleaved groups.
///
/// The names are `conv.N` and `norm.N` in the order in which the layers run.
private struct FiniteScalarGraphs {
  let shapes: [String: Shape]

  /// Images of 128 pixels become 16 x 16 positions: three blocks end with a mean of 2x2.
  private static let halvings = 3

  func encoder() throws(NetworkError) -> NetworkGraph? {
    guard shapes["encoder.conv.0.weight"] != nil else { return nil }
    let layers = try layers("encoder") { index, count in
      index < Self.halvings ? [.pooling(.average)] : []
    }
    return try NetworkGraph(inputChannels: 3, layers: layers)
  }

  func decoder() throws(NetworkError) -> NetworkGraph? {
    guard shapes["decoder.conv.0.weight"] != nil else { return nil }
    let channels = try ConvolutionShapes(shapes: shapes).kernel("decoder.conv.0").input
    let layers = try layers("decoder") { _, _ in [] }
    return try NetworkGraph(inputChannels: channels, layers: layers + [.activation(.tanh)])
  }

  /// The first convolution, the blocks, a norm, the last convolution.
  private func layers(
    _ half: String,
    after: (_ block: Int, _ count: Int) -> [NetworkLayer]
  ) throws(NetworkError) -> [NetworkLayer] {
    let net = ConvolutionShapes(shapes: shapes)
    var count = 0
    while shapes["\(half).conv.\(count).weight"] != nil { count += 1 }
    guard count >= 4, count.isMultiple(of: 2) else {
      throw .unrecognized(
        name: "\(half).conv.\(count).weight",
        reason: "missing: two convolutions a block, one before them and one after"
      )
    }
    let blocks = (count - 2) / 2
    var layers = [try net.convolution("\(half).conv.0", .same, hasBias: false)]
    for block in 0..<blocks {
      // The decoder doubles the extents before its last blocks, the encoder halves them after its first.
      let doubles = half == "decoder" && block >= blocks - Self.halvings
      layers += try self.block(half, block, doubles: doubles)
      layers += after(block, blocks)
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
  ) throws(NetworkError) -> [NetworkLayer] {
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
