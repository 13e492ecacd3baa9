/// A function of each value.
package enum Activation: Hashable, Sendable, CaseIterable {
  /// max(x, 0).
  case relu
  /// x * sigmoid(x).
  case silu
  /// The hyperbolic tangent.
  case tanh
  /// 1 / (1 + e^-x).
  case sigmoid
}

/// What becomes of each block of 2x2 positions.
package enum Pooling: Hashable, Sendable, CaseIterable {
  /// The mean.
  case average
  /// The maximum.
  case maximum
}

/// Layers whose result is added to their input, or to a 1x1 convolution of it.
package struct ResidualBlock: Hashable, Sendable {
  /// The layers, two or more, which keep the extents.
  package let body: [NetworkLayer]
  /// What brings the input to the output's channels; nil where they are the same.
  package let shortcut: Convolution?

  /// Creates a block of any layers.
  package init(body: [NetworkLayer], shortcut: Convolution? = nil) {
    (self.body, self.shortcut) = (body, shortcut)
  }

  /// Creates two rounds of normalization, SiLU and 3x3 convolution with taming's names: norm1, conv1,
  /// norm2, conv2, nin_shortcut.
  package init(_ name: String, _ inputChannels: Int, _ outputChannels: Int) {
    body = [
      .normalization(GroupNormalization("\(name).norm1", inputChannels)),
      .convolution(Convolution("\(name).conv1", inputChannels, outputChannels, .same)),
      .normalization(GroupNormalization("\(name).norm2", outputChannels)),
      .convolution(Convolution("\(name).conv2", outputChannels, outputChannels, .same)),
    ]
    shortcut =
      inputChannels == outputChannels
      ? nil : Convolution("\(name).nin_shortcut", inputChannels, outputChannels, .pointwise)
  }
}

/// Normalization, single-head attention of all positions to all, and a projection, added to the input:
/// x + proj(softmax(q k / sqrt(channels)) v).
package struct AttentionBlock: Hashable, Sendable {
  /// The normalization before the three projections, without SiLU.
  package let normalization: GroupNormalization
  /// The projection to queries.
  package let query: Convolution
  /// The projection to keys.
  package let key: Convolution
  /// The projection to values.
  package let value: Convolution
  /// The projection of the result.
  package let output: Convolution

  /// Creates a block with taming's names: norm, q, k, v, proj_out.
  ///
  /// - Parameters:
  ///   - name: What the parameters' names begin with.
  ///   - channels: The channels.
  ///   - normalization: The normalization, where it is another than the group norm `norm`.
  package init(_ name: String, _ channels: Int, normalization: GroupNormalization? = nil) {
    self.normalization =
      normalization ?? GroupNormalization("\(name).norm", channels, activates: false)
    query = Convolution("\(name).q", channels, channels, .pointwise)
    key = Convolution("\(name).k", channels, channels, .pointwise)
    value = Convolution("\(name).v", channels, channels, .pointwise)
    output = Convolution("\(name).proj_out", channels, channels, .pointwise)
  }
}

/// One layer of a network; the names in it are those of the checkpoint.
package indirect enum NetworkLayer: Hashable, Sendable {
  /// A convolution.
  case convolution(Convolution)
  /// A normalization, with or without SiLU.
  case normalization(GroupNormalization)
  /// A gain and a bias a channel.
  case scaling(ChannelScaling)
  /// A function of each value.
  case activation(Activation)
  /// Half the extents.
  case pooling(Pooling)
  /// Twice the extents, each position four times.
  case upsampling
  /// A residual block.
  case residual(ResidualBlock)
  /// An attention block.
  case attention(AttentionBlock)
  /// Keeps what the layers make of the stream as the condition of later normalizations; the stream itself
  /// stays as it is. Without layers the condition is the stream.
  case condition([NetworkLayer])

  /// The convolutions in it, in the order in which they run.
  package var convolutions: [Convolution] {
    switch self {
    case .convolution(let convolution): [convolution]
    case .normalization(let normalization): normalization.convolutions
    case .scaling, .activation, .pooling, .upsampling: []
    case .residual(let block):
      block.body.dropLast().flatMap(\.convolutions) + (block.shortcut.map { [$0] } ?? [])
        + (block.body.last?.convolutions ?? [])
    case .attention(let block):
      block.normalization.convolutions + [block.query, block.key, block.value, block.output]
    case .condition(let layers): layers.flatMap(\.convolutions)
    }
  }

  /// The normalizations in it.
  package var normalizations: [GroupNormalization] {
    switch self {
    case .convolution, .scaling, .activation, .pooling, .upsampling: []
    case .normalization(let normalization): [normalization]
    case .residual(let block): block.body.flatMap(\.normalizations)
    case .attention(let block): [block.normalization]
    case .condition(let layers): layers.flatMap(\.normalizations)
    }
  }

  /// The scalings in it.
  package var scalings: [ChannelScaling] {
    switch self {
    case .scaling(let scaling): [scaling]
    case .residual(let block): block.body.flatMap(\.scalings)
    case .condition(let layers): layers.flatMap(\.scalings)
    case .convolution, .normalization, .activation, .pooling, .upsampling, .attention: []
    }
  }

  /// Every tensor that the layer needs.
  package var parameters: [NetworkParameter] {
    normalizations.flatMap(\.parameters) + scalings.flatMap(\.parameters)
      + convolutions.flatMap(\.parameters)
  }

  /// The channels that it gives for `input` channels.
  func outputChannels(for input: Int) -> Int {
    switch self {
    case .convolution(let convolution): convolution.outputChannels
    case .residual(let block): block.body.reduce(input) { $1.outputChannels(for: $0) }
    case .attention(let block): block.output.outputChannels
    case .normalization, .scaling, .activation, .pooling, .upsampling, .condition: input
    }
  }

  /// The output's extent for an input's height or width.
  func extent(_ input: Int) -> Int {
    switch self {
    case .convolution(let convolution): convolution.extent(input)
    case .pooling: input / 2
    case .upsampling: input * 2
    case .normalization, .scaling, .activation, .residual, .attention, .condition: input
    }
  }

  /// How often the extents are doubled; negative where they are halved.
  var scaling: Int {
    switch self {
    case .convolution(let convolution): convolution.scaling
    case .pooling: -1
    case .upsampling: 1
    case .normalization, .scaling, .activation, .residual, .attention, .condition: 0
    }
  }
}
