internal import Readers
internal import Tensors

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
  /// - Throws: ``NetworkError`` with the first tensor that is missing, misshapen or left over, by its name in
  ///   the checkpoint; ``QuantizerError`` where levels are not known.
  init(_ tensors: FamilyTensors, of family: FamilyEntry, choices: Choices) throws {
    self.tensors = tensors
    do {
      var graphs = try family.architecture.graphs(tensors.shapes)
      if choices.endsWithTanh { graphs.decoder = try graphs.decoder?.followed(by: .tanh) }
      (encoder, decoder) = graphs
    } catch {
      throw error.renamed(tensors.fileName)
    }
    quantizer = try Self.quantizer(family, choices, encoder, decoder, tensors)
    if let first = mismatches().first { throw first }
  }

  /// Everything that does not fit, by the names in the checkpoint.
  private func mismatches() -> [NetworkError] {
    let shapes = tensors.shapes
    let names = quantizer.tensorNames
    let missing = names.filter { shapes[$0] == nil }.map {
      NetworkError.missingParameter(name: $0, expected: [0, quantizedChannels])
    }
    let graphs = [encoder, decoder].compactMap(\.self)
    // A half that is not there may have left its convolution at the quantizer (Transformers' Chameleon).
    let orphans =
      (encoder == nil ? ["quant_conv.weight", "quant_conv.bias"] : [])
      + (decoder == nil ? ["post_quant_conv.weight", "post_quant_conv.bias"] : [])
    let unfit = NetworkGraph.mismatches(of: graphs, with: shapes, except: Set(names + orphans))
    return tensors.conflicts + (missing + unfit).map { $0.renamed(tensors.fileName) }
  }

  private var quantizedChannels: Int { encoder?.outputChannels ?? decoder?.inputChannels ?? 0 }

  private static func quantizer(
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
      guard tensors.entries["quantize.proj.weight"] == nil else {
        return .vector(VectorSpecification(rule: .logits, codebook: "quantize.embed.weight"))
      }
      return .vector(VectorSpecification(rule: rule, codebook: name))
    case .bits(let order):
      return .binary(try BinaryQuantizer(kind: .lfq, order: order, dimensions: channels))
    case .finiteScalar(let variant, let known):
      guard let levels = choices.levels ?? known[channels] else {
        throw QuantizerError.setting(
          "levels of \(channels) latents are not known; name them: "
            + "\(family.family.rawValue)@levels=8.5.5.5:FILE"
        )
      }
      return .finiteScalar(try FiniteScalarQuantizer(variant: variant, levels: levels))
    case .logits:
      return .vector(VectorSpecification(rule: .logits, codebook: nil, dimensions: channels))
    case .multiScale(let name):
      return .multiScale(
        MultiScaleSpecification(
          scales: choices.scales ?? [1, 2, 3, 4, 5, 6, 8, 10, 13, 16],
          vector: VectorSpecification(rule: .l2, codebook: name),
          refinement: refinement(tensors)
        )
      )
    }
  }

  /// VAR's convolutions after each scale: several that scales share, or one.
  private static func refinement(_ tensors: FamilyTensors) -> MultiScaleSpecification.Refinement? {
    let base = "quantize.quant_resi"
    let names = tensors.entries.keys.filter { $0.hasPrefix(base) && $0.hasSuffix(".weight") }
      .map { String($0.dropLast(".weight".count)) }
    guard !names.isEmpty else { return nil }
    let ordered = names.sorted { ($0.count, $0) < ($1.count, $1) }
    return MultiScaleSpecification.Refinement(convolutions: ordered, ratio: 0.5)
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

extension NetworkError {
  /// The same error with the tensor's name as the checkpoint has it.
  func renamed(_ name: (String) -> String) -> NetworkError {
    switch self {
    case .missingParameter(let old, let expected):
      .missingParameter(name: name(old), expected: expected)
    case .unusedParameter(let old, let shape): .unusedParameter(name: name(old), shape: shape)
    case .misshapenParameter(let old, let shape, let expected):
      .misshapenParameter(name: name(old), shape: shape, expected: expected)
    case .unrecognized(let old, let reason): .unrecognized(name: name(old), reason: reason)
    case .wrongCount, .invalidGraph, .ambiguous, .extents, .memory, .inputCount: self
    }
  }
}

// MARK: - The nearest family

extension FamilyModel {
  /// The families that a checkpoint fits, or else fits best.
  ///
  /// - Returns: Their names, and how many tensors of each do not fit.
  static func nearest(_ shapes: [String: Shape]) -> (families: [TokenizerFamily], misfits: Int)? {
    var best: (families: [TokenizerFamily], misfits: Int)?
    for family in FamilyEntry.all {
      guard let misfits = misfits(shapes, family) else { continue }
      if misfits < best?.misfits ?? .max {
        best = ([family.family], misfits)
      } else if misfits == best?.misfits {
        best?.families.append(family.family)
      }
    }
    return best
  }

  private static func misfits(_ shapes: [String: Shape], _ family: FamilyEntry) -> Int? {
    guard let tensors = try? FamilyTensors(shapes, of: family, weights: nil),
      let graphs = try? family.architecture.graphs(tensors.shapes)
    else { return nil }
    var others: Set<String> = ["quantize.proj.weight", "quantize.embed.weight"]
    if graphs.encoder == nil { others.formUnion(["quant_conv.weight", "quant_conv.bias"]) }
    if graphs.decoder == nil {
      others.formUnion(["post_quant_conv.weight", "post_quant_conv.bias"])
    }
    switch family.quantizer {
    case .codebook(_, let name): others.insert(name)
    case .multiScale(let name):
      others.formUnion(tensors.entries.keys.filter { $0.hasPrefix("quantize.") })
      others.insert(name)
      // Without VAR's own convolutions it is a plain autoencoder.
      if !tensors.entries.keys.contains(where: { $0.hasPrefix("quantize.quant_resi") }) {
        return nil
      }
    case .bits, .finiteScalar, .logits: break
    }
    let found = [graphs.encoder, graphs.decoder].compactMap(\.self)
    let unfit = NetworkGraph.mismatches(of: found, with: tensors.shapes, except: others)
    let isMissing: Bool =
      if case .codebook(_, let name) = family.quantizer {
        tensors.entries[name] == nil && tensors.entries["quantize.proj.weight"] == nil
      } else {
        false
      }
    return unfit.count + tensors.conflicts.count + (isMissing ? 1 : 0)
  }
}
