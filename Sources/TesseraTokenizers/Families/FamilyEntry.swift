import TesseraCheckpoints
internal import TesseraCore
internal import TesseraImages

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
      (self.name, self.source, self.rule, self.preprocessing) = (name, source, rule, preprocessing)
    }
  }

  let family: TokenizerFamily
  /// The checkpoints that belong to it.
  let checkpoints: String
  /// Licence of the published weights.
  let licence: String
  var architecture = NetworkArchitecture.autoencoder(.taming)
  /// The spellings that are looked for, in this order.
  var spellings = [NamingScheme.taming]
  let quantizer: QuantizerRule
  /// Whether the authors evaluate with the averaged weights where a checkpoint has both.
  var prefersAveraged = false
  /// Whether there are models that code the largest of some logits (taming's Gumbel models).
  var hasLogits = false
  /// Names of tensors that cannot change codes, beside those of any family: exact, none with a wildcard.
  var leftovers: Set<String> = []
  /// Tensors of values that follow from the quantizer or the network, by the graphs' names: they are no
  /// weights, but another tokenizer's say otherwise, so they are compared.
  var constants: [String: FixedTensor] = [:]
  /// The ways to prepare pictures; the authors' own comes first.
  let profiles: [Profile]
  /// What a user must know: one line, or empty.
  var remark = ""

  /// What a tensor of known values holds.
  enum FixedTensor: Hashable, Sendable {
    /// The levels of a finite scalar quantizer.
    case levels
    /// The weights of its digits.
    case basis
    /// The values of each of its codes: [codes, dimensions].
    case values
    /// The weights of the bits of a binary quantizer.
    case powers
    /// The values of each of its codes, 1 and -1: [codes, dimensions].
    case signs
    /// Both taps of the Haar transform's mean, √½.
    case haar
    /// 0 and 1.
    case zeroAndOne
  }

  /// What names begin with that belong to training alone: losses and their networks, of any family.
  private static let training = ["loss", "discriminator", "perceptual_loss", "lpips"]

  /// The averages' own counters, which no tensor of the network goes by.
  static let averageCounters: Set<String> = ["decay", "num_updates"]

  /// What a quantizer is called where it stands beside the tokenizer's other parts.
  static let quantizerParts: Set<String> = [
    "quantize", "quantizer", "quantizers", "quantization", "quant", "vq", "fsq", "lfq", "bsq",
    "codebook", "codebooks", "quant_conv", "pre_quant", "_vq_vae",
  ]

  /// Whether the name of an average, which has no dots, is one of training.
  static func isTraining(_ name: String) -> Bool { training.contains(where: name.hasPrefix) }

  /// Whether a tensor cannot change codes: a leftover of training, or a number that traced code holds.
  func isLeftover(_ name: String, _ shape: Shape) -> Bool {
    if leftovers.contains(name) || name.hasSuffix(".num_batches_tracked") { return true }
    // Cosmos' archives keep the numbers of their code as tensors.
    if family == .cosmos, name.hasPrefix("CONSTANTS."), shape.elementCount == 1 { return true }
    return Self.training.contains { name.hasPrefix("\($0).") }
      || ["model_ema.decay", "model_ema.num_updates"].contains(name)
  }
}
