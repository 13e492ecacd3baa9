public import Tensors

/// A tensor that a network needs: its name in the checkpoint and its shape.
public struct NetworkParameter: Hashable, Sendable {
  /// The name in the checkpoint.
  public let name: String
  /// The shape as PyTorch stores it: OIHW for convolutions.
  public let shape: Shape
}

/// A convolution with bias; `name` stands before `.weight` and `.bias`.
public struct Convolution: Hashable, Sendable {
  /// Kernel, stride and padding, as far as the families of autoencoders use them.
  public enum Geometry: Hashable, Sendable {
    /// 1x1.
    case pointwise
    /// 3x3, padding 1: keeps the extents.
    case same
    /// 3x3 of stride 2 over an image with one row and column of zeros at its end (taming's rule).
    case halving
    /// 3x3 of stride 2, padding 1 on all sides (MAGVIT-2's rule).
    case halvingSymmetric
    /// Nearest upsampling to twice the extents, then 3x3 with padding 1.
    case doubling
  }

  /// What the parameters' names begin with.
  public let name: String
  /// The number of channels that come in.
  public let inputChannels: Int
  /// The number of channels that go out.
  public let outputChannels: Int
  /// Kernel, stride and padding.
  public let geometry: Geometry

  /// Creates a convolution.
  public init(_ name: String, _ inputChannels: Int, _ outputChannels: Int, _ geometry: Geometry) {
    self.name = name
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
    self.geometry = geometry
  }

  /// The extent of the kernel: 1 or 3.
  public var kernel: Int { geometry == .pointwise ? 1 : 3 }

  /// The weight, [out, in, kernel, kernel], and the bias, [out].
  public var parameters: [NetworkParameter] {
    [
      NetworkParameter(
        name: "\(name).weight",
        shape: [outputChannels, inputChannels, kernel, kernel]
      ),
      NetworkParameter(name: "\(name).bias", shape: [outputChannels]),
    ]
  }

  /// The output's extent for an input's height or width.
  func extent(_ input: Int) -> Int {
    switch geometry {
    case .pointwise, .same: input
    case .halving: input / 2
    case .halvingSymmetric: (input + 1) / 2
    case .doubling: input * 2
    }
  }
}

/// GroupNorm over one image, with biased variance; `name` stands before `.weight` and `.bias`.
public struct GroupNormalization: Hashable, Sendable {
  /// What the parameters' names begin with.
  public let name: String
  /// The number of channels.
  public let channels: Int
  /// The number of groups, which divides the channels.
  public let groups: Int
  /// What is added to the variance.
  public let epsilon: Double
  /// Whether x * sigmoid(x) follows.
  public let activates: Bool

  /// Creates a normalization; 32 groups and 1e-6 are what taming-transformers and its heirs use.
  public init(
    _ name: String,
    _ channels: Int,
    groups: Int = 32,
    epsilon: Double = 1e-6,
    activates: Bool = true
  ) {
    self.name = name
    self.channels = channels
    self.groups = groups
    self.epsilon = epsilon
    self.activates = activates
  }

  /// Gain and bias, [channels] each.
  public var parameters: [NetworkParameter] {
    [
      NetworkParameter(name: "\(name).weight", shape: [channels]),
      NetworkParameter(name: "\(name).bias", shape: [channels]),
    ]
  }
}

/// Two rounds of normalization, SiLU and 3x3 convolution, added to the input or its shortcut.
public struct ResidualBlock: Hashable, Sendable {
  /// The normalization before the first convolution.
  public let firstNormalization: GroupNormalization
  /// The convolution that may change the number of channels.
  public let firstConvolution: Convolution
  /// The normalization before the second convolution.
  public let secondNormalization: GroupNormalization
  /// The convolution whose result is added to the input.
  public let secondConvolution: Convolution
  /// What brings the input to the output's channels; nil where they are the same.
  public let shortcut: Convolution?

  /// Creates a block with taming's names: norm1, conv1, norm2, conv2, nin_shortcut.
  public init(_ name: String, _ inputChannels: Int, _ outputChannels: Int) {
    firstNormalization = GroupNormalization("\(name).norm1", inputChannels)
    firstConvolution = Convolution("\(name).conv1", inputChannels, outputChannels, .same)
    secondNormalization = GroupNormalization("\(name).norm2", outputChannels)
    secondConvolution = Convolution("\(name).conv2", outputChannels, outputChannels, .same)
    shortcut =
      inputChannels == outputChannels
      ? nil : Convolution("\(name).nin_shortcut", inputChannels, outputChannels, .pointwise)
  }
}

/// Normalization, single-head attention of all positions to all, and a projection, added to the input:
/// x + proj(softmax(q k / sqrt(channels)) v).
public struct AttentionBlock: Hashable, Sendable {
  /// The normalization before the three projections, without SiLU.
  public let normalization: GroupNormalization
  /// The projection to queries.
  public let query: Convolution
  /// The projection to keys.
  public let key: Convolution
  /// The projection to values.
  public let value: Convolution
  /// The projection of the result.
  public let output: Convolution

  /// Creates a block with taming's names: norm, q, k, v, proj_out.
  public init(_ name: String, _ channels: Int) {
    normalization = GroupNormalization("\(name).norm", channels, activates: false)
    query = Convolution("\(name).q", channels, channels, .pointwise)
    key = Convolution("\(name).k", channels, channels, .pointwise)
    value = Convolution("\(name).v", channels, channels, .pointwise)
    output = Convolution("\(name).proj_out", channels, channels, .pointwise)
  }
}

/// One layer of a network; the names in it are those of the checkpoint.
public enum NetworkLayer: Hashable, Sendable {
  /// A convolution.
  case convolution(Convolution)
  /// A normalization, with or without SiLU.
  case normalization(GroupNormalization)
  /// A residual block.
  case residual(ResidualBlock)
  /// An attention block.
  case attention(AttentionBlock)

  /// The convolutions in it, in the order in which they run.
  public var convolutions: [Convolution] {
    switch self {
    case .convolution(let convolution): [convolution]
    case .normalization: []
    case .residual(let block):
      [block.firstConvolution] + (block.shortcut.map { [$0] } ?? []) + [block.secondConvolution]
    case .attention(let block): [block.query, block.key, block.value, block.output]
    }
  }

  /// The normalizations in it.
  public var normalizations: [GroupNormalization] {
    switch self {
    case .convolution: []
    case .normalization(let normalization): [normalization]
    case .residual(let block): [block.firstNormalization, block.secondNormalization]
    case .attention(let block): [block.normalization]
    }
  }

  /// The channels that it takes and gives.
  var channels: (input: Int, output: Int) {
    switch self {
    case .convolution(let convolution): (convolution.inputChannels, convolution.outputChannels)
    case .normalization(let normalization): (normalization.channels, normalization.channels)
    case .residual(let block):
      (block.firstConvolution.inputChannels, block.secondConvolution.outputChannels)
    case .attention(let block): (block.query.inputChannels, block.output.outputChannels)
    }
  }

  /// The output's extent for an input's height or width.
  func extent(_ input: Int) -> Int {
    if case .convolution(let convolution) = self { convolution.extent(input) } else { input }
  }
}
