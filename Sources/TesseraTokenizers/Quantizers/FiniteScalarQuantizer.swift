package import TesseraCore

/// Finite scalar quantization (FSQ, arXiv 2309.15505): each latent dimension is bounded by a smooth
/// function and rounded to one of a few levels; the code is the mixed-radix number of the levels.
///
/// Dimension 0 is the least significant digit. Arithmetic is float32, as in the public
/// implementations, except for tanh and the logistic function, which are rounded from float64: the
/// same bits on every CPU. All arrays are flat, positions outermost and dimensions innermost.
package struct FiniteScalarQuantizer: Hashable, Sendable {
  /// The public implementations, which are different functions under one name.
  ///
  /// L is the number of levels, h the half range, o = 0.5 for even L and 0 for odd, w = ⌊L/2⌋.
  package enum Variant: String, Codable, Hashable, Sendable, CaseIterable {
    /// The paper's appendix A.1 and Google's notebook: h = (L-1)(1-0.001)/2, s = tan(o/h),
    /// b = h tanh(z+s) - o; digit round(b) + w, value (digit-w)/w.
    case paperTan = "paper-tan"
    /// vector-quantize-pytorch since December 2023, and Cosmos: as the paper's with
    /// h = (L-1)(1+0.001)/2 and s = atanh(o/h).
    case atanh
    /// vector-quantize-pytorch's `preserve_symmetry`: digit ⌊(L-1)(tanh z + 1)/2 + 0.5⌋, value
    /// 2 digit/(L-1) - 1.
    case symmetric
    /// As `symmetric` with z cut off at -1 and 1 in place of tanh z: the stages of
    /// vector-quantize-pytorch's ResidualFSQ.
    case symmetricClamp = "symmetric-clamp"
    /// bojone/FSQ: digit round((L-1) sigmoid(z)), value digit/(L-1).
    case sigmoid
    /// The S3 speech tokenizers of CosyVoice2: three levels, digit round(0.999 tanh z) + 1. Its
    /// decoders embed the code, so digits have no values.
    case s3
    /// Tencent's iFSQ (arXiv 2601.17124): odd L, digit round((2 sigmoid(1.6 z) - 1)(L-1)/2) + w,
    /// value (digit-w)/w.
    case ifsq
  }

  /// The function that bounds and rounds.
  package let variant: Variant
  /// The levels of each dimension, 2 or more; 1 to 64 dimensions.
  package let levels: [Int]
  /// The number of codes, the product of the levels: at most 2^32.
  package let vocabularySize: Int

  /// The constants of each dimension.
  package let bounds: [Bound]

  /// Creates a quantizer.
  ///
  /// - Throws: A `TesseraError` for levels that the variant does not have.
  package init(variant: Variant, levels: [Int]) throws(TesseraError) {
    guard (1...64).contains(levels.count) else {
      throw .mismatch("levels: \(levels.count) dimensions, and 1 to 64 are possible")
    }
    var size = 1
    for level in levels {
      try FiniteScalarQuantizer.check(level, variant: variant)
      size *= level
      guard size <= 1 << 32 else {
        throw .mismatch("levels: the product is more than 2^32, and codes have 32 bits")
      }
    }
    (self.variant, self.levels) = (variant, levels)
    vocabularySize = size
    bounds = levels.map { Bound(variant: variant, levels: $0) }
  }

  /// The latent dimensions of one position.
  package var dimensions: Int { levels.count }

  private static func check(_ level: Int, variant: Variant) throws(TesseraError) {
    let problem: String? =
      switch variant {
      case _ where level < 2: "a dimension has 2 levels or more"
      case _ where level > 65_536: "a dimension has at most 65536 levels"
      // Its range reaches 0.0005 (L-1) beyond the outermost level, which then must stay below 0.5.
      case .atanh where level > 1000: "variant atanh has at most 1000 levels"
      case .s3 where level != 3: "variant s3 has 3 levels in every dimension"
      case .ifsq where level % 2 == 0: "variant ifsq has odd levels only"
      default: nil
      }
    if let problem { throw .mismatch("levels: \(level) is refused: \(problem)") }
  }
}

/// The codes of some latents, and how safely they lie between their neighbours.
package struct QuantizedLatents: Hashable, Sendable {
  /// The codes: one per position, or several where the quantizer gives several.
  package let codes: [UInt32]
  /// For each code how far the latents are from where another code would be chosen.
  ///
  /// FSQ: the smallest distance of a bounded latent to its next rounding boundary, in levels, from 0 (on
  /// the boundary) to 0.5. LFQ, BSQ: the smallest distance of a (normalized) latent to 0. Codebooks: how
  /// much worse the second-best code is, in squared distances, cosines or scores; infinity where there is
  /// one code. Another implementation, with other rounding errors, can only differ where this is small.
  package let margins: [Float]

  /// Creates them from as many codes as margins.
  package init(codes: [UInt32], margins: [Float]) {
    (self.codes, self.margins) = (codes, margins)
  }
}
