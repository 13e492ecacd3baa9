internal import Readers

extension FamilyEntry {
  /// The table of families, in the order of `TokenizerFamily`.
  static let all: [FamilyEntry] = convolutional + blocks + conditioned + others

  /// The entry of a family.
  static func entry(of family: TokenizerFamily) -> FamilyEntry {
    guard let entry = all.first(where: { $0.family == family }) else {
      preconditionFailure("every family has an entry")
    }
    return entry
  }

  private static let codebook = "quantize.embedding.weight"

  private init(
    _ family: TokenizerFamily,
    _ checkpoints: String,
    licence: String,
    _ architecture: NetworkArchitecture = .autoencoder(AutoencoderConfiguration.Traits()),
    spellings: [Spelling] = [.taming],
    quantizer: QuantizerRule,
    prefersAveraged: Bool = false,
    leftovers: [String] = [],
    profiles: [Profile],
    remark: String = ""
  ) {
    self.family = family
    self.checkpoints = checkpoints
    self.licence = licence
    self.architecture = architecture
    self.spellings = spellings
    self.quantizer = quantizer
    self.prefersAveraged = prefersAveraged
    self.leftovers = leftovers
    self.profiles = profiles
    self.remark = remark
  }

  // MARK: The network of taming-transformers as it is

  private static let convolutional: [FamilyEntry] = [
    FamilyEntry(
      .taming,
      "taming-transformers VQGAN (.ckpt), also its Gumbel models",
      licence: "code MIT; weights without a statement",
      quantizer: .codebook(.l2, codebook),
      profiles: [.tamingEvaluation],
      remark: "Gumbel models code the largest logit; the reference draws at random"
    ),
    FamilyEntry(
      .ldm,
      "latent-diffusion VQ f4, f8, f16 (.ckpt), diffusers' ports",
      licence: "code MIT; weights without a statement",
      spellings: [.taming, .diffusers],
      quantizer: .codebook(.l2, codebook),
      profiles: [
        Profile(
          "CompVis, LSUN and ImageNet loaders",
          Preprocessing(resize: .square(.bicubic, 256), range: .symmetric)
        )
      ],
      remark: "a model configured with tanh_out is named ldm@tanh-out:FILE: no file says so"
    ),
    FamilyEntry(
      .llamagen,
      "LlamaGen VQ-16, VQ-8 (.pt), Transformers' spelling",
      licence: "MIT",
      spellings: [.llamagen, .transformersJanus, .taming],
      quantizer: .codebook(.cosine, codebook),
      profiles: [
        Profile(
          "LlamaGen's extraction",
          Preprocessing(
            resize: .halvings(.bicubic, 256),
            crop: .center(ImageSize(width: 256, height: 256), .floor),
            range: .normalized
          )
        )
      ]
    ),
    FamilyEntry(
      .janus,
      "Janus, Janus-Pro VQ-16: DeepSeek's files, Transformers' port",
      licence: "code MIT; weights DeepSeek model licence",
      spellings: [.llamagen, .transformersJanus, .taming],
      quantizer: .codebook(.cosine, codebook),
      profiles: [
        Profile(
          "trainers of Janus; DeepSeek published none for the VQ",
          Preprocessing(
            resize: .short(.bicubic, 384, .torchvision),
            crop: .center(ImageSize(width: 384, height: 384), .torchvision),
            range: .normalized
          )
        ), .transformersJanus,
      ]
    ),
    FamilyEntry(
      .chameleon,
      "Chameleon, Anole, Lumina-mGPT, Liquid: vqgan.ckpt, Transformers' port",
      licence: "Chameleon Research License, non-commercial",
      quantizer: .codebook(.l2, codebook),
      profiles: [.chameleon, .transformersChameleon],
      remark: "raw codes, not the ids of a language model; Transformers' files hold no decoder"
    ),
    FamilyEntry(
      .ibq,
      "SEED-Voken IBQ (.ckpt)",
      licence: "Apache-2.0",
      quantizer: .codebook(.dot, codebook),
      prefersAveraged: true,
      profiles: [.imageNet(.bilinear)]
    ),
    FamilyEntry(
      .emu35,
      "Emu3.5 and Apertus vision tokenizers",
      licence: "Apache-2.0",
      quantizer: .codebook(.dot, codebook),
      profiles: [
        Profile(
          "BAAI's vision tokenizer",
          Preprocessing(
            resize: .area(.bicubic, pixels: 512 * 512, multiple: 16),
            range: .symmetric
          )
        )
      ]
    ),
    FamilyEntry(
      .cosmos,
      "Cosmos-Tokenizer DI8x8, DI16x16: .jit of a half, a folder of both, safetensors",
      licence: "code Apache-2.0; weights NVIDIA Open Model License",
      spellings: [.taming, .cosmosEncoder, .cosmosDecoder],
      quantizer: .finiteScalar(
        .atanh,
        [6: [8, 8, 8, 5, 5, 5], 4: [8, 5, 5, 5], 5: [7, 5, 5, 5, 5]]
      ),
      leftovers: ["quantizer.*", "CONSTANTS.*", "*.wavelets", "*._arange", "*.patch_size_buffer"],
      profiles: [
        Profile("cosmos_tokenizer", Preprocessing(pad: .multiple(16), range: .doubled))
      ],
      remark: "published codes come from bfloat16 and differ in about 0.6 % of positions"
    ),
    FamilyEntry(
      .showO,
      "Show-o and MMaDA MAGVITv2",
      licence: "Apache-2.0",
      spellings: [.showO],
      quantizer: .bits(.big),
      leftovers: ["quantize.*"],
      profiles: [.imageNet(.bicubic, range: .normalized)]
    ),
    FamilyEntry(
      .amused,
      "aMUSEd, Meissonic, Lumina-DiMOO: diffusers' VQModel",
      licence: "OpenRAIL++",
      spellings: [.diffusers, .taming],
      quantizer: .codebook(.l2, codebook),
      profiles: [
        Profile(
          "diffusers' VaeImageProcessor",
          Preprocessing(resize: .floor(.lanczos, multiple: 16), range: .unit)
        )
      ]
    ),
  ]

  // MARK: Without attention

  private static let blocks: [FamilyEntry] = [
    FamilyEntry(
      .openMAGVIT2,
      "SEED-Voken Open-MAGVIT2 (.ckpt)",
      licence: "Apache-2.0",
      .autoencoder(
        AutoencoderConfiguration.Traits(
          downsampling: .symmetric,
          shuffles: true,
          conditioning: .adaptive,
          hasBiases: false
        )
      ),
      spellings: [.openMAGVIT2],
      quantizer: .bits(.little),
      prefersAveraged: true,
      leftovers: ["quantize.*"],
      profiles: [.imageNet(.bilinear)]
    ),
    FamilyEntry(
      .maskGIT,
      "MaskGIT-VQGAN of open-muse, TiTok, RAR (.bin)",
      licence: "Apache-2.0",
      .autoencoder(
        AutoencoderConfiguration.Traits(
          downsampling: .average,
          hasBiases: false,
          addsOwnResult: true
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

  private static let conditioned: [FamilyEntry] = [
    FamilyEntry(
      .movq,
      "MoVQGAN and Kandinsky 2: diffusers' VQModel, ai-forever's .ckpt",
      licence: "Apache-2.0",
      spatial,
      spellings: [.diffusers, .taming],
      quantizer: .codebook(.l2, codebook),
      profiles: [.imageNet(.bicubic, range: .normalized)]
    ),
    FamilyEntry(
      .emu3,
      "Emu3-VisionTokenizer, Transformers' Emu3",
      licence: "Apache-2.0",
      spatial,
      spellings: [.transformersEmu3, .emu3],
      quantizer: .codebook(.l2, codebook),
      profiles: [.emu3, .transformersEmu3],
      remark: "an image is four equal frames, folded into convolutions of one"
    ),
    FamilyEntry(
      .multiScale,
      "VAR's VQ-VAE (vae_ch160v4096z32.pth)",
      licence: "MIT",
      quantizer: .multiScale(codebook),
      profiles: [
        Profile(
          "VAR's validation",
          Preprocessing(
            resize: .short(.lanczos, 288, .torchvision),
            crop: .center(ImageSize(width: 256, height: 256), .torchvision),
            range: .normalized
          )
        )
      ],
      remark: "680 codes an image, from coarse to fine"
    ),
  ]

  // MARK: Other networks

  private static let others: [FamilyEntry] = [
    FamilyEntry(
      .vqvae,
      "the classic VQ-VAE (.pth)",
      licence: "the checkpoint's own",
      .vqVAE,
      spellings: [.vqVAE],
      quantizer: .codebook(.l2, "_vq_vae._embedding.weight"),
      leftovers: ["_vq_vae._ema*", "_encoder._conv3.*", "_decoder._conv1.*"],
      profiles: [Profile("its trainers", Preprocessing(range: .normalized))]
    ),
    FamilyEntry(
      .dVAE,
      "DALL-E's dVAE encoder: FLAVA's image codebook, state dicts of OpenAI's encoder",
      licence: "modified MIT",
      .dVAE,
      spellings: [.flava, .dalle],
      quantizer: .logits,
      profiles: [
        Profile(
          "OpenAI's notebook",
          Preprocessing(
            resize: .short(.lanczos, 256, .rounded),
            crop: .center(ImageSize(width: 256, height: 256), .torchvision),
            range: .logitLaplace
          )
        ), .transformersFLAVA,
      ],
      remark: "codes made on GPUs are those of float16"
    ),
    FamilyEntry(
      .finiteScalar,
      "Su Jianlin's FSQ autoencoder (Keras 2 HDF5)",
      licence: "the checkpoint's own",
      .finiteScalar,
      spellings: [.keras],
      quantizer: .finiteScalar(.sigmoid, [4: [6, 6, 6, 6]]),
      profiles: [.finiteScalar]
    ),
  ]
}
