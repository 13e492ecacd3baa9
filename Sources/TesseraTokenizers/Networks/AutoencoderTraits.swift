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

    /// Which levels change the extents.
    public enum Resampling: Hashable, Sendable {
      /// Each but the coarsest in the encoder, each but the finest in the decoder (taming).
      case allButOne
      /// As many as the compression needs: the encoder's first levels, the decoder's coarsest (Cosmos).
      case first
    }

    /// Where attention may stand; both halves have it at the same levels.
    public enum Attention: Hashable, Sendable {
      /// At any level, and then in the middle, too (taming's `attn_resolutions`).
      case anywhere
      /// At the coarsest level and in the middle, or nowhere (LlamaGen, VAR, Emu3).
      case coarsest
      /// Nowhere (MAGVIT-2, MaskGIT).
      case nowhere
    }

    /// What stands between encoder and decoder levels and the latents.
    public enum Middle: Hashable, Sendable {
      /// Two residual blocks, with or without attention between them.
      case aroundAttention
      /// Residual blocks alone, as many as a level of the encoder has.
      case blocks
    }

    /// How many residual blocks the levels have.
    public enum Depth: Hashable, Sendable {
      /// As many at each level of the encoder, and so many more at each of the decoder.
      case equal(more: Int)
      /// These from fine to coarse where there are so many levels; other networks may have any.
      case published(encoder: [Int], decoder: [Int])
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
    /// Which levels change the extents.
    public var resampling: Resampling
    /// Where attention may stand.
    public var attention: Attention
    /// What stands between the levels and the latents.
    public var middle: Middle
    /// How many residual blocks the levels have.
    public var depth: Depth
    /// Whether convolutions stand on both sides of the quantizer: `quant_conv`, `post_quant_conv`.
    public var hasCodeConvolutions: Bool
    /// Whether there are convolutions over time (Emu3).
    public var hasTime: Bool

    /// Creates traits; by default those of taming-transformers.
    public init(
      downsampling: Downsampling = .asymmetric,
      shuffles: Bool = false,
      conditioning: Conditioning = .none,
      hasBiases: Bool = true,
      addsOwnResult: Bool = false,
      resampling: Resampling = .allButOne,
      attention: Attention = .anywhere,
      middle: Middle = .aroundAttention,
      depth: Depth = .equal(more: 1),
      hasCodeConvolutions: Bool = true,
      hasTime: Bool = false
    ) {
      self.downsampling = downsampling
      self.shuffles = shuffles
      self.conditioning = conditioning
      self.hasBiases = hasBiases
      self.addsOwnResult = addsOwnResult
      self.resampling = resampling
      self.attention = attention
      self.middle = middle
      self.depth = depth
      self.hasCodeConvolutions = hasCodeConvolutions
      self.hasTime = hasTime
    }
  }
}
