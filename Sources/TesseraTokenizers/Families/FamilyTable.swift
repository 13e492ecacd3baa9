import TesseraCheckpoints
internal import TesseraImages

/// A family of published tokenizers: what its checkpoints' names and shapes do not say.
public enum TokenizerFamily: String, Codable, Hashable, Sendable, CaseIterable {
  case vqvae, taming, ldm, llamagen, janus, chameleon, ibq
  case emu35 = "emu3.5"
  case cosmos
  case showO = "show-o"
  case amused
  case openMAGVIT2 = "open-magvit2"
  case maskGIT = "maskgit"
  case movq, emu3
  case multiScale = "var"
  case dVAE = "dvae"
  case finiteScalar = "su-fsq"
}

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

  static let codebook = "quantize.embedding.weight"
  /// LlamaGen's and VAR's networks attend at the coarsest level and in the middle.
  static let attentive = NetworkArchitecture.autoencoder(
    AutoencoderConfiguration.Traits(attention: .coarsest)
  )

  /// LlamaGen's network, which Janus took over.
  private static func llamagen(
    _ family: TokenizerFamily,
    _ checkpoints: String,
    licence: String,
    profiles: [Profile]
  ) -> FamilyEntry {
    FamilyEntry(
      family: family,
      checkpoints: checkpoints,
      licence: licence,
      architecture: attentive,
      spellings: [.llamagen, .transformersJanus, .taming],
      quantizer: .codebook(.cosine, codebook),
      // The count of the codes of the last batches.
      leftovers: ["quantize.codebook_used"],
      profiles: profiles
    )
  }

  // MARK: The network of taming-transformers as it is

  private static let convolutional: [FamilyEntry] = [
    FamilyEntry(
      family: .taming,
      checkpoints: "taming-transformers VQGAN (.ckpt), also its Gumbel models",
      licence: "code MIT; weights without a statement",
      quantizer: .codebook(.l2, codebook),
      hasLogits: true,
      // Draws segmentations as pictures.
      leftovers: ["colorize"],
      profiles: [.tamingEvaluation],
      remark: "Gumbel models code the largest logit; the reference draws at random"
    ),
    FamilyEntry(
      family: .ldm,
      checkpoints: "latent-diffusion VQ f4, f8, f16 (.ckpt), diffusers' ports",
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
    llamagen(
      .llamagen,
      "LlamaGen VQ-16, VQ-8 (.pt), Transformers' spelling",
      licence: "MIT",
      profiles: [
        Profile(
          "LlamaGen's extraction",
          .center(256, .floor, of: .halvings(.bicubic, 256), range: .normalized)
        )
      ]
    ),
    llamagen(
      .janus,
      "Janus, Janus-Pro VQ-16: DeepSeek's files, Transformers' port",
      licence: "code MIT; weights DeepSeek model licence",
      profiles: [
        Profile(
          "trainers of Janus; DeepSeek published none for the VQ",
          .center(384, .torchvision, of: .short(.bicubic, 384, .torchvision), range: .normalized)
        ), .transformersJanus,
      ]
    ),
    FamilyEntry(
      family: .chameleon,
      checkpoints: "Chameleon, Anole, Lumina-mGPT, Liquid: vqgan.ckpt, Transformers' port",
      licence: "Chameleon Research License, non-commercial",
      quantizer: .codebook(.l2, codebook),
      profiles: [.chameleon, .transformersChameleon],
      remark: "raw codes, not the ids of a language model; Transformers' files hold no decoder"
    ),
    FamilyEntry(
      family: .ibq,
      checkpoints: "SEED-Voken IBQ (.ckpt)",
      licence: "Apache-2.0",
      quantizer: .codebook(.dot, codebook),
      prefersAveraged: true,
      profiles: [.imageNet(.bilinear)]
    ),
    FamilyEntry(
      family: .emu35,
      checkpoints: "Emu3.5's vision tokenizer, Transformers' port of it for Apertus 1.5",
      licence: "Apache-2.0",
      spellings: [.taming, .transformersApertus],
      quantizer: .codebook(.dot, codebook),
      profiles: [
        Profile(
          "BAAI's vision tokenizer",
          Preprocessing(
            resize: .area(.bicubic, pixels: 512 * 512, multiple: 16),
            range: .symmetric
          )
        )
      ],
      remark: "Transformers' files hold no decoder"
    ),
    FamilyEntry(
      family: .cosmos,
      checkpoints: "Cosmos-Tokenizer DI8x8, DI16x16: .jit of a half, a folder of both, safetensors",
      licence: "code Apache-2.0; weights NVIDIA Open Model License",
      architecture: .autoencoder(AutoencoderConfiguration.Traits(resampling: .first)),
      spellings: [.taming, .cosmosEncoder, .cosmosDecoder],
      quantizer: .finiteScalar(
        .atanh,
        [6: [8, 8, 8, 5, 5, 5], 4: [8, 5, 5, 5], 5: [7, 5, 5, 5, 5]]
      ),
      constants: cosmosConstants,
      profiles: [
        Profile("cosmos_tokenizer", Preprocessing(pad: .multiple(16), range: .doubled))
      ],
      remark: "published codes come from bfloat16 and differ in about 0.6 % of positions"
    ),
    FamilyEntry(
      family: .showO,
      checkpoints: "Show-o and MMaDA MAGVITv2",
      licence: "Apache-2.0",
      architecture: .autoencoder(
        AutoencoderConfiguration.Traits(
          depth: .published(encoder: [4, 3, 4, 3, 4], decoder: [4, 4, 3, 4, 3])
        )
      ),
      spellings: [.showO],
      quantizer: .bits(.big),
      constants: ["quantize.power_vals": .powers, "quantize.embedding": .signs],
      profiles: [.imageNet(.bicubic, range: .normalized)]
    ),
    FamilyEntry(
      family: .amused,
      checkpoints: "aMUSEd, Meissonic, Lumina-DiMOO: diffusers' VQModel",
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

  /// The buffers of Cosmos' quantizer and patches, which TorchScript archives keep; in the decoder's archive
  /// the quantizer is part of its inverse.
  private static let cosmosConstants: [String: FixedTensor] = {
    var constants: [String: FixedTensor] = [
      "encoder.patcher.wavelets": .haar, "encoder.patcher._arange": .zeroAndOne,
      "decoder.unpatcher.wavelets": .haar, "decoder.unpatcher._arange": .zeroAndOne,
    ]
    for quantizer in ["quantizer", "inv_quant.quantizer", "quantizer.quantizer"] {
      constants["\(quantizer)._levels"] = .levels
      constants["\(quantizer)._basis"] = .basis
      constants["\(quantizer).implicit_codebook"] = .values
    }
    return constants
  }()
}
