package import TesseraCore

/// Quantization to signs: bit k of a code says whether dimension k of the latent is above 0.
package struct BinaryQuantizer: Hashable, Sendable {
  /// What the signs are taken of.
  package enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
    /// Lookup-free quantization (MAGVIT-2, arXiv 2310.05737): the latents; values are 1 and -1.
    case lfq
    /// Binary spherical quantization (arXiv 2406.07548): the latents divided by their norm; values are
    /// 1/√d and -1/√d.
    case bsq
  }

  /// Which dimension is the least significant bit.
  package enum Order: String, Codable, Hashable, Sendable, CaseIterable {
    /// Dimension 0: Open-MAGVIT2, WeTok.
    case little
    /// The last dimension: Show-o, vector-quantize-pytorch, BSQ-ViT.
    case big
  }

  /// What the signs are taken of.
  package let kind: Kind
  /// Which dimension is the least significant bit.
  package let order: Order
  /// The latent dimensions of one position, 1 to 32.
  package let dimensions: Int

  /// Creates a quantizer.
  ///
  /// - Throws: `TesseraError` where codes would not fit 32 bits.
  package init(kind: Kind, order: Order, dimensions: Int) throws(TesseraError) {
    guard (1...32).contains(dimensions) else {
      let reason = "dimensions: \(dimensions) bits, and a code has 1 to 32"
      guard dimensions > 32 else { throw .mismatch(reason) }
      // Groups of bsq would divide each group by its own norm: other values, another quantizer.
      throw .mismatch(
        kind == .lfq
          ? "\(reason); name more as kind grouped, several codes per position"
          : "\(reason); one norm over more dimensions has no codes here, and groups of bsq are another quantizer"
      )
    }
    (self.kind, self.order, self.dimensions) = (kind, order, dimensions)
  }

  /// The number of codes, 2^d.
  package var vocabularySize: Int { 1 << dimensions }

  /// Quantizes latents.
  ///
  /// - Parameter latents: `dimensions` values per position, flat, channels last.
  /// - Returns: One code and one margin a position: the smallest distance of a dimension to 0, with `bsq`
  ///   after the division by the norm.
  /// - Throws: `TesseraError`, or `.shape` where the last position is incomplete.
  package func quantize(_ latents: [Float]) throws(TesseraError) -> QuantizedLatents {
    let count = try latents.positions(of: dimensions)
    var values = latents
    if kind == .bsq { values.normalizeRows(of: dimensions) }
    var codes = [UInt32](repeating: 0, count: count)
    var margins = [Float](repeating: .infinity, count: count)
    for position in 0..<count {
      for dimension in 0..<dimensions {
        let value = values[position &* dimensions &+ dimension]
        if value > 0 { codes[position] |= 1 << UInt32(bit(of: dimension)) }
        margins[position] = min(margins[position], abs(value))
      }
    }
    return QuantizedLatents(codes: codes, margins: margins)
  }

  /// The bits of codes by dimension: `dimensions` a code, 0 or 1 each.
  ///
  /// - Throws: `TesseraError`.
  package func digits(of codes: [UInt32]) throws(TesseraError) -> [UInt32] {
    try codes.digits(width: dimensions, vocabularySize: vocabularySize) { code, digits in
      for dimension in 0..<dimensions { digits.append(code >> UInt32(bit(of: dimension)) & 1) }
    }
  }

  /// Puts bits together into codes, the inverse of ``digits(of:)``.
  ///
  /// - Throws: `TesseraError`, or `.shape` where the last position is incomplete.
  package func codes(ofDigits digits: [UInt32]) throws(TesseraError) -> [UInt32] {
    let (count, rest) = digits.count.quotientAndRemainder(dividingBy: dimensions)
    guard rest == 0 else {
      throw .mismatch("\(digits.count) digits are not whole positions of \(dimensions) dimensions")
    }
    var codes = [UInt32](repeating: 0, count: count)
    for (index, digit) in digits.enumerated() {
      guard digit < 2 else {
        throw .digitOutOfRange(digit: UInt64(digit), index: index, dimensions: dimensions)
      }
      codes[index / dimensions] |= digit << UInt32(bit(of: index % dimensions))
    }
    return codes
  }

  /// The values that a decoder takes: `dimensions` float32 a code.
  ///
  /// - Throws: `TesseraError`.
  package func values(of codes: [UInt32]) throws(TesseraError) -> [Float] {
    let one: Float = kind == .lfq ? 1 : 1 / Float(dimensions).squareRoot()
    return try digits(of: codes).map { $0 == 1 ? one : -one }
  }

  private func bit(of dimension: Int) -> Int {
    order == .little ? dimension : dimensions - 1 - dimension
  }
}
