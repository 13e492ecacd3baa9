internal import Readers

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

/// One line of the table of families.
struct FamilyEntry: Sendable {
  /// How the quantizer follows from the latents and the checkpoint.
  enum QuantizerRule: Hashable, Sendable {
    /// The best row of a codebook, the tensor of that name.
    case codebook(VectorQuantizer.Rule, String)
    /// One bit a latent.
    case bits(BinaryQuantizer.Order)
    /// Finite scalars; the levels belong to the number of latents.
    case finiteScalar(FiniteScalarQuantizer.Variant, [Int: [Int]])
    /// A latent for each code.
    case logits
    /// VAR's scales over one codebook, with the convolutions of its checkpoint.
    case multiScale(String)
  }

  /// A way to prepare pictures that somebody published.
  struct Profile: Sendable {
    /// What follows the `@` of a tokenizer's name.
    let name: String
    /// Whose it is.
    let source: String
    let preprocessing: Preprocessing
    /// The quantizer's rule, where this code has another one than the authors'.
    let rule: QuantizerRule?

    init(
      name: String = "original",
      _ source: String,
      rule: QuantizerRule? = nil,
      _ preprocessing: Preprocessing
    ) {
      self.name = name
      self.source = source
      self.rule = rule
      self.preprocessing = preprocessing
    }
  }

  let family: TokenizerFamily
  /// The checkpoints that belong to it.
  let checkpoints: String
  /// Licence of the published weights.
  let licence: String
  let architecture: NetworkArchitecture
  /// The spellings that are looked for, in this order.
  let spellings: [Spelling]
  let quantizer: QuantizerRule
  /// Whether the authors evaluate with the averaged weights where a checkpoint has both.
  let prefersAveraged: Bool
  /// Names that belong to training: exact, or ending with `*`, or beginning with it.
  let leftovers: [String]
  /// The ways to prepare pictures; the authors' own comes first.
  let profiles: [Profile]
  /// What a user must know: one line, or empty.
  let remark: String

  /// Training leftovers of any family.
  static let commonLeftovers = [
    "loss.*", "discriminator.*", "perceptual_loss.*", "lpips.*", "*.num_batches_tracked",
    "model_ema.decay", "model_ema.num_updates", "quantize.codebook_used", "*.ema_vocab_hit_SV",
    "colorize", "logit_scale",
  ]

  /// Whether a tensor is a leftover of training.
  func isLeftover(_ name: String) -> Bool {
    (Self.commonLeftovers + leftovers).contains { pattern in
      if pattern.hasSuffix("*") { return name.hasPrefix(pattern.dropLast()) }
      if pattern.hasPrefix("*") { return name.hasSuffix(pattern.dropFirst()) }
      return name == pattern
    }
  }
}
