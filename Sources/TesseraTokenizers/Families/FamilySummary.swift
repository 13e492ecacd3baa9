import TesseraCheckpoints
package import TesseraImages

/// What is said of a family: `tokenizers`, `schemas/tokenizers.schema.json`.
package struct FamilySummary: Encodable, Hashable, Sendable {
  /// A way to prepare pictures.
  package struct Profile: Encodable, Hashable, Sendable {
    /// What stands behind the `@` of a tokenizer's name; `original` is the default.
    package let name: String
    /// Whose it is.
    package let source: String
    /// The rules.
    package let preprocessing: Preprocessing
  }

  /// What stands before the colon of `FAMILY:FILE`.
  package let family: TokenizerFamily
  /// The checkpoints that are accepted.
  package let checkpoints: String
  /// The spellings of names that are looked for.
  package let spellings: [String]
  /// How latents become codes.
  package let quantizer: String
  /// The weights that are taken where a checkpoint has two sets: `raw` or `ema`.
  package let weights: String
  /// The licence of code and weights, as published.
  package let licence: String
  /// The ways to prepare pictures, the authors' own first.
  package let profiles: [Profile]
  /// What a user must know; empty where there is nothing.
  package let remark: String

  /// What is said of a family.
  package init(_ family: TokenizerFamily) {
    let entry = FamilyEntry.entry(of: family)
    self.family = family
    checkpoints = entry.checkpoints
    spellings = entry.spellings.map(\.name)
    quantizer = entry.quantizer.text
    weights = entry.prefersAveraged ? "ema" : "raw"
    licence = entry.licence
    profiles = entry.profiles.map {
      Profile(name: $0.name, source: $0.source, preprocessing: $0.preprocessing)
    }
    remark = entry.remark
  }
}

extension FamilyEntry.QuantizerRule {
  /// The rule in a few words.
  fileprivate var text: String {
    switch self {
    case .codebook(.l2, _): "vq: the nearest row (squared distance)"
    case .codebook(.cosine, _): "vq: the largest cosine"
    case .codebook(.dot, _): "vq: the largest product"
    case .codebook(.logits, _), .logits: "the largest logit"
    case .bits(.little): "lfq: signs, dimension 0 is the lowest bit"
    case .bits(.big): "lfq: signs, dimension 0 is the highest bit"
    case .finiteScalar(let variant, let levels):
      "fsq \(variant.rawValue): "
        + levels.sorted { $0.key < $1.key }
        .map { $0.value.map(String.init).joined(separator: ".") }.joined(separator: ", ")
    case .multiScale: "multi-scale residual vq: the nearest row (squared distance)"
    }
  }
}
