internal import CKernels
package import TesseraCore

/// Vector quantization: the code of a latent is the row of a codebook that fits it best.
///
/// Scores are float32, each a sum of fused multiply-adds in the order of the dimensions: the same bits on
/// every CPU. Of the two best codes the better one is then found in float64; of equal codes the lowest wins.
package struct VectorQuantizer: Sendable {
  /// What fits best.
  package enum Rule: String, Codable, Hashable, Sendable, CaseIterable {
    /// The least Euclidean distance: taming, LDM, Chameleon, Emu3, MaskGIT, MoVQ, VAR, aMUSEd. Compared as
    /// z·e - |e|²/2.
    case l2
    /// The least angle: rows and latents are divided by their norm (at least 10⁻¹²). LlamaGen, Janus, TiTok,
    /// UniTok.
    case cosine
    /// The largest product z·e, without norms: IBQ, Emu3.5.
    case dot
    /// The largest of the latents themselves, of which there is one per code: dVAE, Gumbel VQGAN. The codebook
    /// only serves the way back.
    case logits
  }

  /// What a decoder gets where the rule is `cosine`.
  package enum Lookup: String, Codable, Hashable, Sendable, CaseIterable {
    /// The row divided by its norm: LlamaGen, Janus.
    case normalized
    /// The row as the checkpoint holds it: ml-4m.
    case stored
  }

  /// What fits best.
  package let rule: Rule
  /// What a decoder gets.
  package let lookup: Lookup
  /// The latent dimensions of one position; with `logits` the number of codes.
  package let dimensions: Int
  /// The values that a decoder takes for one code; 0 where there is no codebook.
  package let valueDimensions: Int
  /// The number of codes.
  package let vocabularySize: Int
  /// The rows as the kernels compare them; nil with `logits`.
  private let packed: PackedCodebook?
  /// The rows as decoders take them, where the packed ones are others or there are none.
  private let rows: [Float]?

  /// Creates a quantizer.
  ///
  /// - Parameters:
  ///   - rule: What fits best.
  ///   - codebook: The rows.
  ///   - lookup: What a decoder gets; `cosine` alone has the choice, and takes `normalized` unless told.
  /// - Throws: `TesseraError` for a lookup that the rule has not.
  package init(rule: Rule, codebook: Codebook, lookup: Lookup? = nil) throws(TesseraError) {
    guard lookup == nil || rule == .cosine else {
      throw .mismatch(
        "field 'lookup' belongs to the rule cosine; \(rule.rawValue) has the stored rows"
      )
    }
    self.rule = rule
    self.lookup = lookup ?? (rule == .cosine ? .normalized : .stored)
    vocabularySize = codebook.count
    valueDimensions = codebook.dimensions
    dimensions = rule == .logits ? codebook.count : codebook.dimensions
    switch rule {
    case .logits:
      packed = nil
      rows = codebook.values
    case .l2, .dot:
      packed = PackedCodebook(codebook.values, codebook, hasNorms: rule == .l2)
      rows = nil
    case .cosine:
      var unit = codebook.values
      unit.normalizeRows(of: codebook.dimensions)
      packed = PackedCodebook(unit, codebook, hasNorms: false)
      rows = self.lookup == .stored ? codebook.values : nil
    }
  }

  /// Creates a quantizer of logits without a codebook: there is no way back.
  ///
  /// - Throws: `TesseraError` for a number of codes that cannot be.
  package init(logits count: Int) throws(TesseraError) {
    guard (1...Codebook.largestCount).contains(count) else {
      throw .mismatch("dimensions: \(count) logits, and 1 to 2^30 are possible")
    }
    rule = .logits
    lookup = .stored
    dimensions = count
    valueDimensions = 0
    vocabularySize = count
    packed = nil
    rows = nil
  }

  /// Quantizes latents.
  ///
  /// - Parameters:
  ///   - latents: `dimensions` values per position, flat, channels last.
  ///   - instructions: The instructions to compute with; the best unless kernels are compared.
  /// - Returns: One code and one margin a position: how much worse the second-best code is, as a difference
  ///   of squared distances (`l2`), of cosines (`cosine`) or of scores (`dot`, `logits`).
  /// - Throws: `TesseraError`, `.overflow` where scores leave the range of float32, `.shape`.
  package func quantize(
    _ latents: [Float],
    instructions: InstructionSet = .best
  ) throws(TesseraError) -> QuantizedLatents {
    let count = try latents.positions(of: dimensions)
    guard let packed else { return largest(latents, count) }
    let query = rule == .cosine ? normalized(latents) : latents
    var (codes, next, best) = packed.nearest(query, count: count, instructions)
    if let index = best.firstIndexNotFinite { throw .overflow(position: index) }
    var margins = [Float](repeating: .infinity, count: count)
    for position in 0..<count where next[position] != .max {
      let start = position * dimensions
      let (first, second) = (codes[position], next[position])
      let margin =
        packed.score(query, start, row: Int(first), isDistance: rule == .l2)
        - packed.score(query, start, row: Int(second), isDistance: rule == .l2)
      if margin < 0 || (margin == 0 && second < first) { codes[position] = second }
      margins[position] = Float(abs(margin))
    }
    return QuantizedLatents(codes: codes, margins: margins)
  }

  /// The scores of every code at each position, for soft codes: -|z - e|² (`l2`), cosines (`cosine`),
  /// products (`dot`) or the latents (`logits`); `vocabularySize` a position.
  ///
  /// - Throws: As ``quantize(_:instructions:)``.
  package func scores(
    _ latents: [Float],
    instructions: InstructionSet = .best
  ) throws(TesseraError) -> [Float] {
    let count = try latents.positions(of: dimensions)
    guard let packed else { return latents }
    let query = rule == .cosine ? normalized(latents) : latents
    var scores = packed.scores(query, count: count, instructions)
    if rule == .l2 {
      for position in 0..<count {
        var norm = 0.0
        for value in query[position * dimensions..<(position + 1) * dimensions] {
          norm += Double(value) * Double(value)
        }
        for code in position * vocabularySize..<(position + 1) * vocabularySize {
          scores[code] = Float(2 * Double(scores[code]) - norm)
        }
      }
    }
    if let index = scores.firstIndexNotFinite { throw .overflow(position: index / vocabularySize) }
    return scores
  }

  /// The values that a decoder takes: `valueDimensions` a code.
  ///
  /// - Throws: `TesseraError`; `.setting` where there is no codebook.
  package func values(of codes: [UInt32]) throws(TesseraError) -> [Float] {
    guard valueDimensions > 0 else {
      throw .mismatch(
        "these logits have no codebook, so codes have no values; name it as 'codebook'"
      )
    }
    var values: [Float] = []
    values.reserveCapacity(codes.count * valueDimensions)
    for (index, code) in codes.enumerated() {
      try TesseraError.check(code, at: index, vocabularySize: vocabularySize)
      if let rows {
        values += rows[Int(code) * valueDimensions..<(Int(code) + 1) * valueDimensions]
      } else {
        packed?.append(row: Int(code), to: &values)
      }
    }
    return values
  }

  private func normalized(_ latents: [Float]) -> [Float] {
    var unit = latents
    unit.normalizeRows(of: dimensions)
    return unit
  }

  /// The largest of each position's latents.
  private func largest(_ latents: [Float], _ count: Int) -> QuantizedLatents {
    var codes = [UInt32](repeating: 0, count: count)
    var best = [Float](repeating: -.infinity, count: count)
    var second = best
    for position in 0..<count {
      for code in 0..<dimensions {
        let score = latents[position &* dimensions &+ code]
        if score > best[position] {
          second[position] = best[position]
          best[position] = score
          codes[position] = UInt32(code)
        } else if score > second[position] {
          second[position] = score
        }
      }
    }
    return QuantizedLatents(codes: codes, margins: zip(best, second).map { $0 - $1 })
  }
}

/// A codebook as the kernels take it: panels of 32 rows, and what each row's score begins with.
@safe
private final class PackedCodebook: Sendable {
  private let count: Int
  private let dimensions: Int
  private let panels: AlignedFloats
  private let bias: AlignedFloats

  private static let panel = 32

  init(_ rows: [Float], _ codebook: Codebook, hasNorms: Bool) {
    count = codebook.count
    dimensions = codebook.dimensions
    panels = AlignedFloats(count: ckernels_packed_direct_size(count, dimensions, 1))
    bias = AlignedFloats(count: (count + Self.panel - 1) / Self.panel * Self.panel)
    unsafe rows.withUnsafeBufferPointer { rows in
      guard let base = rows.baseAddress else { return }
      unsafe ckernels_pack_direct(count, dimensions, 1, base, panels.base)
    }
    for row in 0..<bias.count {
      guard row < count else {
        unsafe bias.base[row] = -.infinity
        continue
      }
      guard hasNorms else { continue }
      var norm = 0.0
      for value in rows[row * dimensions..<(row + 1) * dimensions] {
        norm += Double(value) * Double(value)
      }
      unsafe bias.base[row] = Float(-norm / 2)
    }
  }

  func nearest(
    _ latents: [Float],
    count positions: Int,
    _ instructions: InstructionSet
  ) -> (codes: [UInt32], next: [UInt32], best: [Float]) {
    var codes = [UInt32](repeating: 0, count: positions)
    var next = codes
    var best = [Float](repeating: 0, count: positions)
    unsafe latents.withUnsafeBufferPointer { latents in
      guard let latents = latents.baseAddress else { return }
      unsafe ckernels_nearest(
        instructions.kernels,
        positions,
        dimensions,
        count,
        latents,
        panels.base,
        bias.base,
        &codes,
        &next,
        &best
      )
    }
    return (codes, next, best)
  }

  /// All scores, without those of the panels' padding.
  func scores(
    _ latents: [Float],
    count positions: Int,
    _ instructions: InstructionSet
  ) -> [Float] {
    var padded = [Float](repeating: 0, count: positions * bias.count)
    unsafe latents.withUnsafeBufferPointer { latents in
      guard let latents = latents.baseAddress else { return }
      unsafe ckernels_scores(
        instructions.kernels,
        positions,
        dimensions,
        count,
        latents,
        panels.base,
        bias.base,
        &padded
      )
    }
    guard bias.count > count else { return padded }
    return (0..<positions).flatMap { padded[$0 * bias.count..<$0 * bias.count + count] }
  }

  /// The product of a latent and a row in float64, or minus their squared distance.
  func score(_ latents: [Float], _ start: Int, row: Int, isDistance: Bool) -> Double {
    let first = row / Self.panel * Self.panel * dimensions + row % Self.panel
    var sum = 0.0
    for dimension in 0..<dimensions {
      let latent = Double(latents[start &+ dimension])
      let value = unsafe Double(panels.base[first &+ dimension &* Self.panel])
      sum += isDistance ? -(latent - value) * (latent - value) : latent * value
    }
    return sum
  }

  func append(row: Int, to values: inout [Float]) {
    let start = row / Self.panel * Self.panel * dimensions + row % Self.panel
    for dimension in 0..<dimensions {
      unsafe values.append(panels.base[start + dimension * Self.panel])
    }
  }
}
