import Foundation
package import TesseraCore

extension FiniteScalarQuantizer {
  /// The float32 constants of one dimension, computed as the variant's reference computes them.
  ///
  /// The tangents come from the C library. For every number of levels their float64 results lie at
  /// least 6e-12 (relative) from where float32 rounds the other way, so any library gives these bits.
  package struct Bound: Hashable, Sendable {
    /// What is added to the latent.
    package var shift: Float = 0
    /// What the bounded latent is multiplied by.
    package var scale: Float = 1
    /// What is subtracted from the product.
    package var offset: Float = 0
    /// What is added to the rounded result.
    package var digitOffset: Float = 0

    init(variant: Variant, levels: Int) {
      let spread = Float(levels - 1)
      offset = levels % 2 == 0 ? 0.5 : 0
      digitOffset = Float(levels / 2)
      switch variant {
      case .paperTan:
        // The notebook has the half range from numpy, in float64, and continues in float32.
        scale = Float(Double(levels - 1) * (1 - 1e-3) / 2)
        shift = Float(Foundation.tan(Double(offset / scale)))
      case .atanh:
        scale = spread * 1.001 / 2
        shift = Float(Foundation.atanh(Double(offset / scale)))
      case .symmetric, .symmetricClamp, .sigmoid:
        scale = spread
        offset = 0
        digitOffset = 0
      case .s3:
        scale = 0.999
      case .ifsq:
        scale = spread / 2
      }
    }
  }

  /// Quantizes latents.
  ///
  /// - Parameter latents: `dimensions` values per position, flat, channels last.
  /// - Returns: One code and one margin a position.
  /// - Throws: `TesseraError` with the index of the first latent that has no code, and
  ///   `.shape` where the last position is incomplete.
  package func quantize(_ latents: [Float]) throws(TesseraError) -> QuantizedLatents {
    let count = try latents.positions(of: dimensions)
    return switch variant {
    case .paperTan, .atanh:
      quantize(latents, count) { latent, bound in
        let bounded = Float(ElementaryFunctions.tanh(Double(latent + bound.shift)))
        return FiniteScalarQuantizer.round(bounded * bound.scale - bound.offset)
      }
    case .s3:
      quantize(latents, count) { latent, bound in
        FiniteScalarQuantizer.round(Float(ElementaryFunctions.tanh(Double(latent))) * bound.scale)
      }
    case .symmetric:
      quantize(latents, count) { latent, bound in
        let bounded = Float(ElementaryFunctions.tanh(Double(latent)))
        return FiniteScalarQuantizer.floor(bound.scale * (bounded + 1) / 2 + 0.5)
      }
    case .symmetricClamp:
      quantize(latents, count) { latent, bound in
        let bounded = max(-1, min(1, latent))
        return FiniteScalarQuantizer.floor(bound.scale * (bounded + 1) / 2 + 0.5)
      }
    case .sigmoid:
      quantize(latents, count) { latent, bound in
        FiniteScalarQuantizer.round(
          Float(ElementaryFunctions.sigmoid(Double(latent))) * bound.scale
        )
      }
    case .ifsq:
      quantize(latents, count) { latent, bound in
        let bounded = 2 * Float(ElementaryFunctions.sigmoid(Double(1.6 * latent))) - 1
        return FiniteScalarQuantizer.round(bounded * bound.scale)
      }
    }
  }

  /// Rounds half to even, for sizes below 2^22; also the distance to the boundary.
  @inline(__always)
  private static func round(_ value: Float) -> (level: Float, margin: Float) {
    // The sum's last bit is 1, so the addition itself rounds to a whole number, half to even.
    let level = (value + 0x1.8p23) - 0x1.8p23
    return (level, 0.5 - abs(value - level))
  }

  /// Rounds down; also the distance to the boundary.
  @inline(__always)
  private static func floor(_ bracket: Float) -> (level: Float, margin: Float) {
    let level = bracket.rounded(.down)
    return (level, min(bracket - level, level + 1 - bracket))
  }

  @inline(__always)
  private func quantize(
    _ latents: [Float],
    _ count: Int,
    _ level: (Float, Bound) -> (level: Float, margin: Float)
  ) -> QuantizedLatents {
    var codes = [UInt32](repeating: 0, count: count)
    var margins = [Float](repeating: .infinity, count: count)
    let dimensions = dimensions
    var basis: UInt32 = 1
    for (dimension, bound) in bounds.enumerated() {
      for position in 0..<count {
        let (rounded, margin) = level(latents[position &* dimensions &+ dimension], bound)
        codes[position] &+= UInt32(rounded + bound.digitOffset) &* basis
        margins[position] = min(margins[position], margin)
      }
      // Wraps only behind the last dimension, where it is not used.
      basis = basis &* UInt32(levels[dimension])
    }
    return QuantizedLatents(codes: codes, margins: margins)
  }

  /// Takes codes apart into digits: `dimensions` a position, each below its levels.
  ///
  /// - Throws: `TesseraError`.
  package func digits(of codes: [UInt32]) throws(TesseraError) -> [UInt32] {
    try codes.digits(width: dimensions, vocabularySize: vocabularySize) { code, digits in
      var rest = code
      for level in levels {
        let (quotient, digit) = rest.quotientAndRemainder(dividingBy: UInt32(level))
        digits.append(digit)
        rest = quotient
      }
    }
  }

  /// Puts digits together into codes, the inverse of ``digits(of:)``.
  ///
  /// - Throws: `TesseraError`, or `.shape` where the last position is incomplete.
  package func codes(ofDigits digits: [UInt32]) throws(TesseraError) -> [UInt32] {
    let (count, rest) = digits.count.quotientAndRemainder(dividingBy: dimensions)
    guard rest == 0 else {
      throw .mismatch("\(digits.count) digits are not whole positions of \(dimensions) dimensions")
    }
    var codes: [UInt32] = []
    codes.reserveCapacity(count)
    for position in 0..<count {
      var code: UInt32 = 0
      for dimension in levels.indices.reversed() {
        let index = position * dimensions + dimension
        guard digits[index] < levels[dimension] else {
          throw .digitOutOfRange(
            digit: UInt64(digits[index]),
            index: index,
            dimensions: dimensions
          )
        }
        code = code * UInt32(levels[dimension]) + digits[index]
      }
      codes.append(code)
    }
    return codes
  }

  /// The values that a decoder takes: `dimensions` float32 a position, as `Variant` defines them.
  ///
  /// - Throws: `TesseraError`; `.setting` for `s3`, whose codes have no values.
  package func values(of codes: [UInt32]) throws(TesseraError) -> [Float] {
    guard variant != .s3 else {
      throw .mismatch("variant s3 defines no values: its decoders embed the code itself")
    }
    var values: [Float] = []
    values.reserveCapacity(codes.count * dimensions)
    let tables = levels.map { level in (0..<level).map { value(digit: $0, levels: level) } }
    for (index, digit) in try digits(of: codes).enumerated() {
      values.append(tables[index % dimensions][Int(digit)])
    }
    return values
  }

  /// The value of one digit, in the reference's order of float32 operations.
  private func value(digit: Int, levels: Int) -> Float {
    switch variant {
    case .symmetric, .symmetricClamp: Float(digit) * (2 / Float(levels - 1)) - 1
    case .sigmoid: Float(digit) / Float(levels - 1)
    case .paperTan, .atanh, .s3, .ifsq: Float(digit - levels / 2) / Float(levels / 2)
    }
  }
}
