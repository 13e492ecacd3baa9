import TesseraCheckpoints
import TesseraCore

/// A family's networks and quantizer, found in a checkpoint: what is there, before any weight is read.
struct FamilyModel: Sendable {
  let tensors: FamilyTensors
  let encoder: NetworkGraph?
  let decoder: NetworkGraph?
  /// The quantizer that the family fixes; its tensors under the graphs' names.
  let quantizer: QuantizerSpecification

  /// What a user chose beside the family.
  struct Choices: Sendable {
    var weights: FamilyTensors.Weights?
    var levels: [Int]?
    var scales: [Int]?
    var rule: FamilyEntry.QuantizerRule?
    /// Whether a tanh follows the decoder.
    var endsWithTanh = false
    /// A quantizer that a description names in place of the family's.
    var quantizer: QuantizerSpecification?
  }

  /// Finds a family in the tensors of a checkpoint.
  ///
  /// - Throws: `TesseraError` with the first tensor that is missing, misshapen or left over, by its name in
  ///   the checkpoint, or where levels are not known.
  init(_ tensors: FamilyTensors, of family: FamilyEntry, choices: Choices) throws {
    self.tensors = tensors
    // Whatever else does not fit, a quantizer that nobody reads is named before it.
    if let first = (Self.strangers(tensors, family, choices) + tensors.conflicts).first {
      throw first
    }
    let disagreements: [TesseraError]
    do {
      let hasLogits = Self.hasLogits(tensors, family)
      var graphs = try family.architecture.graphs(tensors.shapes, hasLogits: hasLogits)
      if choices.endsWithTanh { graphs.decoder = try graphs.decoder?.followed(by: .tanh) }
      (encoder, decoder, disagreements) = (graphs.encoder, graphs.decoder, graphs.disagreements)
    } catch {
      throw error.renamed(tensors.fileName)
    }
    if let first = disagreements.first { throw first.renamed(tensors.fileName) }
    quantizer = try Self.quantizer(family, choices, encoder, decoder, tensors)
    if let first = mismatches(family).first { throw first }
  }

  /// Everything that does not fit, by the names in the checkpoint.
  private func mismatches(_ family: FamilyEntry) -> [TesseraError] {
    let shapes = tensors.shapes
    let names = quantizer.tensorNames
    let missing = names.filter { shapes[$0] == nil }.map {
      TesseraError.incomplete(name: $0, reason: "the quantizer takes it")
    }
    let graphs = [encoder, decoder].compactMap(\.self)
    let orphans = Self.orphans(family, hasEncoder: encoder != nil, hasDecoder: decoder != nil)
    let unfit = NetworkGraph.mismatches(of: graphs, with: shapes, except: orphans.union(names))
    return (missing + unfit).map { $0.renamed(tensors.fileName) }
  }

  /// A half that is not there may have left its convolution at the quantizer (Transformers' Chameleon).
  static func orphans(
    _ family: FamilyEntry,
    hasEncoder: Bool,
    hasDecoder: Bool
  ) -> Set<String> {
    guard case .autoencoder(let traits) = family.architecture, traits.hasCodeConvolutions else {
      return []
    }
    return Set(
      (hasEncoder ? [] : ["quant_conv.weight", "quant_conv.bias"])
        + (hasDecoder ? [] : ["post_quant_conv.weight", "post_quant_conv.bias"])
    )
  }

  /// Whether this is one of taming's Gumbel models.
  static func hasLogits(_ tensors: FamilyTensors, _ family: FamilyEntry) -> Bool {
    guard family.hasLogits else { return false }
    let names = TensorNames(tensors.entries.keys)
    return names.has("quantize.proj") || names.has("quantize.embed")
  }

  /// Tensors of a quantizer that neither the family nor a description takes.
  private static func strangers(
    _ tensors: FamilyTensors,
    _ family: FamilyEntry,
    _ choices: Choices
  ) -> [TesseraError] {
    let quantizer = try? Self.quantizer(family, choices, nil, nil, tensors)
    var known = Set(choices.quantizer?.tensorNames ?? quantizer?.tensorNames ?? [])
    if hasLogits(tensors, family) {
      known.formUnion(["quantize.proj.weight", "quantize.proj.bias"])
    }
    return tensors.entries.sorted { $0.key < $1.key }.compactMap { name, entry in
      guard let part = name.split(separator: ".").first, !known.contains(name),
        FamilyEntry.quantizerParts.contains(String(part)), part != "quant_conv"
      else { return nil }
      return .unusedParameter(name: tensors.fileName(name), shape: entry.shape)
    }
  }

  static func quantizer(
    _ family: FamilyEntry,
    _ choices: Choices,
    _ encoder: NetworkGraph?,
    _ decoder: NetworkGraph?,
    _ tensors: FamilyTensors
  ) throws -> QuantizerSpecification {
    if let quantizer = choices.quantizer { return quantizer }
    let channels = encoder?.outputChannels ?? decoder?.inputChannels ?? 0
    switch choices.rule ?? family.quantizer {
    case .codebook(let rule, let name):
      guard !hasLogits(tensors, family) else {
        return .vector(VectorSpecification(rule: .logits, codebook: "quantize.embed.weight"))
      }
      return .vector(VectorSpecification(rule: rule, codebook: name))
    case .bits(let order):
      return .binary(try BinaryQuantizer(kind: .lfq, order: order, dimensions: channels))
    case .finiteScalar(let variant, let known):
      guard let levels = choices.levels ?? known[channels] else {
        throw TesseraError.mismatch(
          "levels of \(channels) latents are not known; name them: "
            + "\(family.family.rawValue)@levels=8.5.5.5:FILE"
        )
      }
      return .finiteScalar(try FiniteScalarQuantizer(variant: variant, levels: levels))
    case .logits:
      return .vector(VectorSpecification(rule: .logits, codebook: nil, dimensions: channels))
    case .multiScale(let name):
      let scales = choices.scales ?? [1, 2, 3, 4, 5, 6, 8, 10, 13, 16]
      return .multiScale(
        MultiScaleSpecification(
          scales: scales,
          vector: VectorSpecification(rule: .l2, codebook: name),
          refinement: refinement(tensors, scales: scales.count)
        )
      )
    }
  }

  /// VAR's convolutions after each scale: four that scales share, one for all of them, or one for each.
  ///
  /// How many there are decides which scale takes which: one that is lost would move the others.
  private static func refinement(
    _ tensors: FamilyTensors,
    scales: Int
  ) -> MultiScaleSpecification.Refinement {
    let base = "quantize.quant_resi"
    let names = TensorNames(tensors.entries.keys)
    let convolutions =
      if names.has("\(base).qresi") {
        ["\(base).qresi"]
      } else if names.count(base) > 0 {
        (0..<scales).map { "\(base).\($0)" }
      } else {
        (0..<4).map { "\(base).qresi_ls.\($0)" }
      }
    return MultiScaleSpecification.Refinement(convolutions: convolutions, ratio: 0.5)
  }
}

extension QuantizerSpecification {
  /// The tensors of the checkpoint that it takes.
  var tensorNames: [String] {
    switch self {
    case .finiteScalar, .binary: []
    case .vector(let vector): vector.codebook.map { [$0] } ?? []
    case .grouped(let groups): groups.flatMap(\.tensorNames)
    case .residual(let residual): residual.stages.flatMap(\.tensorNames)
    case .multiScale(let scales):
      (scales.vector.codebook.map { [$0] } ?? [])
        + (scales.refinement?.convolutions ?? []).flatMap { ["\($0).weight", "\($0).bias"] }
    }
  }
}
