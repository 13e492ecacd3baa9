import TesseraCore

/// GroupNorm over one image, with biased variance; `name` stands before `.weight` and `.bias`.
package struct GroupNormalization: Hashable, Sendable {
  /// Where gain and bias come from.
  package enum Modulation: Hashable, Sendable {
    /// The checkpoint: one value per channel.
    case none
    /// Two linear maps of the condition's statistics replace them: the gain of its deviations, the bias
    /// of its means (MAGVIT-2's adaptive group norm).
    case adaptive(gain: Convolution, bias: Convolution, epsilon: Double)
    /// After those of the checkpoint, two 1x1 convolutions of the condition, taken from the nearest
    /// position, multiply and add (MoVQ's spatial norm).
    case spatial(factor: Convolution, term: Convolution)
  }

  /// What the parameters' names begin with.
  package let name: String
  /// The number of channels.
  package let channels: Int
  /// The number of groups, which divides the channels.
  package let groups: Int
  /// What is added to the variance.
  package let epsilon: Double
  /// Whether x * sigmoid(x) follows.
  package let activates: Bool
  /// Whether channel c belongs to group c mod `groups` rather than to a run of channels (Su's Keras net).
  package let isInterleaved: Bool
  /// Where gain and bias come from.
  package let modulation: Modulation

  /// Creates a normalization; 32 groups and 1e-6 are what taming-transformers and its heirs use.
  package init(
    _ name: String,
    _ channels: Int,
    groups: Int = 32,
    epsilon: Double = 1e-6,
    activates: Bool = true,
    isInterleaved: Bool = false,
    modulation: Modulation = .none
  ) {
    (self.name, self.channels, self.groups, self.epsilon) = (name, channels, groups, epsilon)
    (self.activates, self.isInterleaved, self.modulation) = (activates, isInterleaved, modulation)
  }

  /// The convolutions of the condition.
  package var convolutions: [Convolution] {
    switch modulation {
    case .none: []
    case .adaptive(let gain, let bias, _): [gain, bias]
    case .spatial(let factor, let term): [factor, term]
    }
  }

  /// Gain and bias of the checkpoint, [channels] each.
  package var parameters: [NetworkParameter] {
    if case .adaptive = modulation { return [] }
    return [
      NetworkParameter(name: "\(name).weight", shape: [channels]),
      NetworkParameter(name: "\(name).bias", shape: [channels]),
    ]
  }
}

/// A gain and a bias for each channel: a BatchNorm in evaluation, folded.
///
/// `name` stands before `.weight` and `.bias`.
package struct ChannelScaling: Hashable, Sendable {
  /// What the parameters' names begin with.
  package let name: String
  /// The number of channels.
  package let channels: Int
  /// Whether x * sigmoid(x) follows.
  public var activates = true

  /// Gain and bias, [channels] each.
  package var parameters: [NetworkParameter] {
    [
      NetworkParameter(name: "\(name).weight", shape: [channels]),
      NetworkParameter(name: "\(name).bias", shape: [channels]),
    ]
  }
}
