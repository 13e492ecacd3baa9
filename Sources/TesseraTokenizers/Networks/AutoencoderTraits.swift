extension AutoencoderConfiguration {
  /// In what families differ that names and shapes do not say.
  package struct Traits: Hashable, Sendable {
    /// How the encoder halves the extents.
    package enum Downsampling: Hashable, Sendable {
      /// A convolution of stride 2 that is padded below and on the right (taming).
      case asymmetric
      /// A convolution of stride 2 that is padded all around (MAGVIT-2).
      case symmetric
      /// The mean of 2x2 positions (MaskGIT).
      case average
    }

    /// How the decoder's normalizations depend on the codes.
    package enum Conditioning: Hashable, Sendable {
      /// They do not.
      case none
      /// Before each level, by statistics of the latents (MAGVIT-2).
      case adaptive
      /// Everywhere, by the values of the codes at the nearest position (MoVQ).
      case spatial
    }

    /// Which levels change the extents.
    package enum Resampling: Hashable, Sendable {
      /// Each but the coarsest in the encoder, each but the finest in the decoder (taming).
      case allButOne
      /// As many as the compression needs: the encoder's first levels, the decoder's coarsest (Cosmos).
      case first
    }

    /// Where attention may stand; both halves have it at the same levels.
    package enum Attention: Hashable, Sendable {
      /// At any level, and then in the middle, too (taming's `attn_resolutions`).
      case anywhere
      /// At the coarsest level and in the middle, or nowhere (LlamaGen, VAR, Emu3).
      case coarsest
      /// Nowhere (MAGVIT-2, MaskGIT).
      case nowhere
    }

    /// What stands between encoder and decoder levels and the latents.
    package enum Middle: Hashable, Sendable {
      /// Two residual blocks, with or without attention between them.
      case aroundAttention
      /// Residual blocks alone, as many as a level of the encoder has.
      case blocks
    }

    /// How many residual blocks the levels have.
    package enum Depth: Hashable, Sendable {
      /// As many at each level of the encoder, and so many more at each of the decoder.
      case equal(more: Int)
      /// These from fine to coarse where there are so many levels; other networks may have any.
      case published(encoder: [Int], decoder: [Int])
    }

    /// How the encoder halves the extents.
    package var downsampling = Downsampling.asymmetric
    /// Whether the decoder doubles the extents by depth to space, not by nearest upsampling.
    package var shuffles = false
    /// How the decoder's normalizations depend on the codes.
    package var conditioning = Conditioning.none
    /// Whether the residual blocks' convolutions and the encoder's first have biases.
    package var hasBiases = true
    /// Whether a block that changes the channels adds a shortcut of its own result, not of its input
    /// (MaskGIT); its weight then holds the identity too.
    package var addsOwnResult = false
    /// Which levels change the extents.
    package var resampling = Resampling.allButOne
    /// Where attention may stand.
    package var attention = Attention.anywhere
    /// What stands between the levels and the latents.
    package var middle = Middle.aroundAttention
    /// How many residual blocks the levels have.
    package var depth = Depth.equal(more: 1)
    /// Whether convolutions stand on both sides of the quantizer: `quant_conv`, `post_quant_conv`.
    package var hasCodeConvolutions = true
    /// Whether there are convolutions over time (Emu3).
    package var hasTime = false

    /// Those of taming-transformers.
    public static let taming = Self()
  }
}
