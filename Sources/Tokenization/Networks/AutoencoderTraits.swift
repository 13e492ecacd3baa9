extension AutoencoderConfiguration {
  /// In what families differ that names and shapes do not say.
  public struct Traits: Hashable, Sendable {
    /// How the encoder halves the extents.
    public enum Downsampling: Hashable, Sendable {
      /// A convolution of stride 2 that is padded below and on the right (taming).
      case asymmetric
      /// A convolution of stride 2 that is padded all around (MAGVIT-2).
      case symmetric
      /// The mean of 2x2 positions (MaskGIT).
      case average
    }

    /// How the decoder's normalizations depend on the codes.
    public enum Conditioning: Hashable, Sendable {
      /// They do not.
      case none
      /// Before each level, by statistics of the latents (MAGVIT-2).
      case adaptive
      /// Everywhere, by the values of the codes at the nearest position (MoVQ).
      case spatial
    }

    /// How the encoder halves the extents.
    public var downsampling: Downsampling
    /// Whether the decoder doubles the extents by depth to space, not by nearest upsampling.
    public var shuffles: Bool
    /// How the decoder's normalizations depend on the codes.
    public var conditioning: Conditioning
    /// Whether the residual blocks' convolutions and the encoder's first have biases.
    public var hasBiases: Bool
    /// Whether a block that changes the channels adds a shortcut of its own result, not of its input
    /// (MaskGIT); its weight then holds the identity too.
    public var addsOwnResult: Bool

    /// Creates traits; by default those of taming-transformers.
    public init(
      downsampling: Downsampling = .asymmetric,
      shuffles: Bool = false,
      conditioning: Conditioning = .none,
      hasBiases: Bool = true,
      addsOwnResult: Bool = false
    ) {
      self.downsampling = downsampling
      self.shuffles = shuffles
      self.conditioning = conditioning
      self.hasBiases = hasBiases
      self.addsOwnResult = addsOwnResult
    }
  }
}
