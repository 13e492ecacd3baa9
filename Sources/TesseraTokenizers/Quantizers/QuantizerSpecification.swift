import Foundation
package import TesseraCore

/// A quantizer as its JSON file names it, such as
/// `{"kind": "fsq", "variant": "atanh", "levels": [8, 5, 5, 5]}` (`schemas/quantizer.schema.json`).
///
/// Nothing that decides codes has a default: codes from another variant are other codes, so the file names
/// all of it. Codebooks are named, not held: ``Quantizer/init(_:parameter:)`` asks for them.
package indirect enum QuantizerSpecification: Codable, Hashable, Sendable {
  /// Finite scalar quantization: `fsq`.
  case finiteScalar(FiniteScalarQuantizer)
  /// The best row of a codebook: `vq`.
  case vector(VectorSpecification)
  /// One bit a dimension: `lfq`, `bsq`.
  case binary(BinaryQuantizer)
  /// Several side by side: `grouped`.
  case grouped([QuantizerSpecification])
  /// Several one after the other: `residual`.
  case residual(ResidualSpecification)
  /// Residuals at several resolutions: `multi-scale`.
  case multiScale(MultiScaleSpecification)

  /// The kinds that a file can name.
  private static let kinds = ["fsq", "vq", "lfq", "bsq", "grouped", "residual", "multi-scale"]

  /// The quantizer of a JSON file.
  ///
  /// - Parameter json: The file.
  /// - Throws: A `TesseraError` that names the field and what is known.
  package init(parsing json: [UInt8]) throws(TesseraError) {
    do {
      self = try JSONDecoder().decode(QuantizerSpecification.self, from: Data(json))
    } catch let error as TesseraError {
      throw error
    } catch {
      throw .mismatch("not a JSON object that names a quantizer")
    }
  }

  /// Reads `kind` and the fields that belong to it; any other field is an error.
  package init(from decoder: any Decoder) throws {
    let fields = try QuantizerFields(decoder)
    switch try fields.decode(String.self, "kind", "a string") {
    case "fsq":
      try fields.check(known: ["kind", "variant", "levels"])
      let variant = try fields.choice(FiniteScalarQuantizer.Variant.self, "variant")
      let levels = try fields.decode([Int].self, "levels", "a list of whole numbers")
      self = .finiteScalar(try FiniteScalarQuantizer(variant: variant, levels: levels))
    case "vq":
      try fields.check(known: ["kind", "rule", "codebook", "lookup", "dimensions"])
      self = .vector(try VectorSpecification(fields))
    case let kind where kind == "lfq" || kind == "bsq":
      try fields.check(known: ["kind", "order", "dimensions"])
      self = .binary(
        try BinaryQuantizer(
          kind: kind == "lfq" ? .lfq : .bsq,
          order: try fields.choice(BinaryQuantizer.Order.self, "order"),
          dimensions: try fields.decode(Int.self, "dimensions", "a whole number")
        )
      )
    case "grouped":
      try fields.check(known: ["kind", "groups"])
      self = .grouped(try fields.quantizers("groups"))
    case "residual":
      try fields.check(known: ["kind", "stages", "scales", "soft_clamp"])
      self = .residual(try ResidualSpecification(fields))
    case "multi-scale":
      try fields.check(known: ["kind", "scales", "rule", "codebook", "lookup", "refinement"])
      self = .multiScale(try MultiScaleSpecification(fields))
    case let kind:
      let known = Self.kinds.joined(separator: " ")
      throw TesseraError.mismatch("kind '\(kind)' is not known; known: \(known)")
    }
  }

  /// Writes the JSON that ``init(from:)`` reads.
  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: KnownFields.Name.self)
    func name(_ text: String) -> KnownFields.Name { KnownFields.Name(text) }
    switch self {
    case .finiteScalar(let quantizer):
      try fields.encode("fsq", forKey: name("kind"))
      try fields.encode(quantizer.variant, forKey: name("variant"))
      try fields.encode(quantizer.levels, forKey: name("levels"))
    case .vector(let vector):
      try fields.encode("vq", forKey: name("kind"))
      try vector.encode(to: &fields)
    case .binary(let quantizer):
      try fields.encode(quantizer.kind, forKey: name("kind"))
      try fields.encode(quantizer.order, forKey: name("order"))
      try fields.encode(quantizer.dimensions, forKey: name("dimensions"))
    case .grouped(let groups):
      try fields.encode("grouped", forKey: name("kind"))
      try fields.encode(groups, forKey: name("groups"))
    case .residual(let residual):
      try fields.encode("residual", forKey: name("kind"))
      try fields.encode(residual.stages, forKey: name("stages"))
      try fields.encodeIfPresent(residual.scales, forKey: name("scales"))
      try fields.encodeIfPresent(residual.softClamp, forKey: name("soft_clamp"))
    case .multiScale(let scales):
      try fields.encode("multi-scale", forKey: name("kind"))
      try fields.encode(scales.scales, forKey: name("scales"))
      try scales.vector.encode(to: &fields)
      try fields.encodeIfPresent(scales.refinement, forKey: name("refinement"))
    }
  }
}

/// What a file says of a quantizer with a codebook.
package struct VectorSpecification: Hashable, Sendable {
  /// What fits best.
  package var rule: VectorQuantizer.Rule
  /// A `.npy` file [codes, dimensions] beside the JSON file, or a tensor of the tokenizer's checkpoint; nil
  /// for logits without a way back.
  package var codebook: String?
  /// What a decoder gets where the rule is `cosine`; nil for the normalized rows.
  package var lookup: VectorQuantizer.Lookup?
  /// The number of logits where there is no codebook.
  package var dimensions: Int?

  /// Creates a specification.
  package init(
    rule: VectorQuantizer.Rule,
    codebook: String?,
    lookup: VectorQuantizer.Lookup? = nil,
    dimensions: Int? = nil
  ) {
    (self.rule, self.codebook, self.lookup, self.dimensions) = (rule, codebook, lookup, dimensions)
  }

  init(_ fields: QuantizerFields) throws(TesseraError) {
    rule = try fields.choice(VectorQuantizer.Rule.self, "rule")
    let isBare = rule == .logits && !fields.has("codebook")
    codebook = isBare ? nil : try fields.decode(String.self, "codebook", "a string")
    dimensions = isBare ? try fields.decode(Int.self, "dimensions", "a whole number") : nil
    lookup =
      fields.has("lookup") ? try fields.choice(VectorQuantizer.Lookup.self, "lookup") : nil
    guard lookup == nil || rule == .cosine else {
      throw .mismatch("field 'lookup' belongs to the rule cosine alone")
    }
    guard isBare || !fields.has("dimensions") else {
      throw .mismatch(
        "field 'dimensions' belongs to logits without a codebook; the codebook says it"
      )
    }
    guard codebook?.isEmpty != true else { throw .mismatch("field 'codebook' names no file") }
  }

  fileprivate func encode(
    to fields: inout KeyedEncodingContainer<KnownFields.Name>
  ) throws {
    try fields.encode(rule, forKey: KnownFields.Name("rule"))
    try fields.encodeIfPresent(codebook, forKey: KnownFields.Name("codebook"))
    try fields.encodeIfPresent(lookup, forKey: KnownFields.Name("lookup"))
    try fields.encodeIfPresent(dimensions, forKey: KnownFields.Name("dimensions"))
  }
}

/// What a file says of a residual quantizer.
package struct ResidualSpecification: Hashable, Sendable {
  /// The stages from coarse to fine.
  package var stages: [QuantizerSpecification]
  /// What each stage's input is divided by: one number or one per dimension; nil for 1.
  package var scales: [[Float]]?
  /// c of c·tanh(z / c), which the latents go through first; nil for none.
  package var softClamp: [Float]?

  /// Creates a specification.
  package init(
    stages: [QuantizerSpecification],
    scales: [[Float]]? = nil,
    softClamp: [Float]? = nil
  ) {
    (self.stages, self.scales, self.softClamp) = (stages, scales, softClamp)
  }

  init(_ fields: QuantizerFields) throws(TesseraError) {
    stages = try fields.quantizers("stages")
    scales = try fields.decodeIfPresent([[Float]].self, "scales", "a list of lists of numbers")
    softClamp = try fields.decodeIfPresent([Float].self, "soft_clamp", "a list of numbers")
  }
}

/// What a file says of a multi-scale quantizer.
package struct MultiScaleSpecification: Hashable, Sendable {
  /// The convolutions that refine what each scale adds.
  package struct Refinement: Codable, Hashable, Sendable {
    /// The names before `.weight` and `.bias`.
    package var convolutions: [String]
    /// How much of a convolution's result is taken.
    package var ratio: Float

    /// Creates a specification.
    package init(convolutions: [String], ratio: Float) {
      (self.convolutions, self.ratio) = (convolutions, ratio)
    }
  }

  /// The sides of the grids, ascending.
  package var scales: [Int]
  /// How rows are chosen.
  package var vector: VectorSpecification
  /// The convolutions; nil for none.
  package var refinement: Refinement?

  /// Creates a specification.
  package init(scales: [Int], vector: VectorSpecification, refinement: Refinement? = nil) {
    (self.scales, self.vector, self.refinement) = (scales, vector, refinement)
  }

  init(_ fields: QuantizerFields) throws(TesseraError) {
    scales = try fields.decode([Int].self, "scales", "a list of whole numbers")
    vector = try VectorSpecification(fields)
    refinement = try fields.decodeIfPresent(
      Refinement.self,
      "refinement",
      "an object of 'convolutions', a list of names, and 'ratio', a number"
    )
    guard (refinement?.convolutions.count ?? 0) <= 64, refinement?.ratio.isFinite != false else {
      throw .mismatch("refinement: at most 64 convolutions and a finite ratio")
    }
  }
}
