import TesseraCheckpoints
internal import TesseraImages

/// The families whose networks differ from taming-transformers' in more than names.
extension FamilyEntry {
  // MARK: Without attention

  static let blocks: [FamilyEntry] = [
    FamilyEntry(
      family: .openMAGVIT2,
      checkpoints: "SEED-Voken Open-MAGVIT2 (.ckpt)",
      licence: "Apache-2.0",
      architecture: .autoencoder(
        AutoencoderConfiguration.Traits(
          downsampling: .symmetric,
          shuffles: true,
          conditioning: .adaptive,
          hasBiases: false,
          attention: .nowhere,
          middle: .blocks,
          depth: .equal(more: 0),
          hasCodeConvolutions: false
        )
      ),
      spellings: [.openMAGVIT2],
      quantizer: .bits(.little),
      prefersAveraged: true,
      constants: ["quantize.mask": .powers],
      profiles: [.imageNet(.bilinear)]
    ),
    FamilyEntry(
      family: .maskGIT,
      checkpoints: "MaskGIT-VQGAN of open-muse, TiTok, RAR (.bin)",
      licence: "Apache-2.0",
      architecture: .autoencoder(
        AutoencoderConfiguration.Traits(
          downsampling: .average,
          hasBiases: false,
          addsOwnResult: true,
          attention: .nowhere,
          middle: .blocks,
          depth: .equal(more: 0),
          hasCodeConvolutions: false
        )
      ),
      spellings: [.maskGIT],
      quantizer: .codebook(.l2, codebook),
      profiles: [.imageNet(.bilinear, range: .unit)]
    ),
  ]

  // MARK: Normalizations that see the codes

  private static let spatial = NetworkArchitecture.autoencoder(
    AutoencoderConfiguration.Traits(conditioning: .spatial)
  )

  static let conditioned: [FamilyEntry] = [
    FamilyEntry(
      family: .movq,
      checkpoints: "MoVQGAN and Kandinsky 2: diffusers' VQModel, ai-forever's .ckpt",
      licence: "Apache-2.0",
      architecture: spatial,
      spellings: [.diffusers, .taming],
      quantizer: .codebook(.l2, codebook),
      profiles: [.imageNet(.bicubic, range: .normalized)]
    ),
    FamilyEntry(
      family: .emu3,
      checkpoints: "Emu3-VisionTokenizer, Transformers' Emu3",
      licence: "Apache-2.0",
      architecture: .autoencoder(
        AutoencoderConfiguration.Traits(
          conditioning: .spatial,
          attention: .coarsest,
          hasTime: true
        )
      ),
      spellings: [.transformersEmu3, .emu3],
      quantizer: .codebook(.l2, codebook),
      profiles: [.emu3, .transformersEmu3],
      remark: "an image is four equal frames, folded into convolutions of one"
    ),
    FamilyEntry(
      family: .multiScale,
      checkpoints: "VAR's VQ-VAE (vae_ch160v4096z32.pth)",
      licence: "MIT",
      architecture: attentive,
      quantizer: .multiScale(codebook),
      // How often each code was used at each scale.
      leftovers: ["quantize.ema_vocab_hit_SV"],
      profiles: [
        Profile(
          "VAR's validation",
          .center(256, .torchvision, of: .short(.lanczos, 288, .torchvision), range: .normalized)
        )
      ],
      remark: "680 codes per image, from coarse to fine"
    ),
  ]

  // MARK: Other networks

  /// The averages that the embedding was made of, and a convolution that the trainers' code never calls.
  private static let vqVAELeftovers: Set<String> = [
    "_vq_vae._ema_w", "_vq_vae._ema_cluster_size", "_encoder._conv3.weight",
    "_encoder._conv3.weight_g", "_encoder._conv3.weight_v", "_encoder._conv3.bias",
  ]

  static let others: [FamilyEntry] = [
    FamilyEntry(
      family: .vqvae,
      checkpoints: "the classic VQ-VAE (.pth)",
      licence: "the checkpoint's own",
      architecture: .vqVAE,
      spellings: [.vqVAE],
      quantizer: .codebook(.l2, "_vq_vae._embedding.weight"),
      leftovers: vqVAELeftovers,
      profiles: [Profile("its trainers", Preprocessing(range: .normalized))]
    ),
    FamilyEntry(
      family: .dVAE,
      checkpoints: "DALL-E's dVAE encoder: FLAVA's image codebook, state dicts of OpenAI's encoder",
      licence: "modified MIT",
      architecture: .dVAE,
      spellings: [.flava, .dalle],
      quantizer: .logits,
      profiles: [
        Profile(
          "OpenAI's notebook",
          .center(256, .torchvision, of: .short(.lanczos, 256, .rounded), range: .logitLaplace)
        ), .transformersFLAVA,
      ],
      remark: "codes made on GPUs are those of float16"
    ),
    FamilyEntry(
      family: .finiteScalar,
      checkpoints: "Su Jianlin's FSQ autoencoder (Keras 2 HDF5)",
      licence: "the checkpoint's own",
      architecture: .finiteScalar,
      spellings: [.keras],
      quantizer: .finiteScalar(.sigmoid, [4: [6, 6, 6, 6]]),
      profiles: [.finiteScalar]
    ),
  ]
}
