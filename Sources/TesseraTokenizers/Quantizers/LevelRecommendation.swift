package import TesseraCore

/// FSQ levels for a wanted number of codes, as the paper's table 1 recommends them and beyond it.
package struct LevelRecommendation: Hashable, Sendable {
  /// The levels of each dimension.
  package let levels: [Int]
  /// Their product; nil where it is more than 2^63.
  package let vocabularySize: Int?
  /// What speaks against them, a line each.
  package let warnings: [String]

  /// The table of arXiv 2309.15505, and its appendix for the powers of two between.
  private static let published: [Int: [Int]] = [
    1 << 4: [5, 3], 1 << 6: [8, 8], 1 << 8: [8, 6, 5], 1 << 9: [8, 8, 8], 1 << 10: [8, 5, 5, 5],
    1 << 11: [8, 8, 6, 5], 1 << 12: [7, 5, 5, 5, 5], 1 << 14: [8, 8, 8, 6, 5],
    1 << 16: [8, 8, 8, 5, 5, 5],
  ]

  /// Judges given levels.
  ///
  /// - Parameters:
  ///   - levels: One or more, each 2 or more.
  ///   - elementType: The unsigned type that codes are to fit; nil for the narrowest.
  /// - Throws: `TesseraError` for levels that are none.
  package init(levels: [Int], fitting elementType: ElementType? = nil) throws(TesseraError) {
    guard (1...64).contains(levels.count), levels.allSatisfy({ (2...65_536).contains($0) }) else {
      throw .mismatch("levels: 1 to 64 numbers from 2 to 65536")
    }
    self.levels = levels
    var product: Int? = 1
    for level in levels {
      product = product.flatMap { size in
        let (next, overflow) = size.multipliedReportingOverflow(by: level)
        return overflow ? nil : next
      }
    }
    vocabularySize = product
    var warnings: [String] = []
    if levels.contains(2) {
      warnings.append(
        "2 levels: the atanh shift is 3.8, so vector-quantize-pytorch refuses them but for the symmetric "
          + "variant; signs (lfq, bsq) are quantizers of their own"
      )
    }
    if levels.contains(where: { (3...4).contains($0) }) {
      warnings.append(
        "fewer than 5 levels: the paper found codes used less; it recommends 5 or more"
      )
    }
    if product ?? .max > 1 << 32 {
      warnings.append("the product is more than 2^32, and codes have 32 bits: split them in groups")
    } else if let elementType, let size = product,
      ElementType.unsigned(holding: UInt64(size)).bitWidth > elementType.bitWidth
    {
      warnings.append("\(size) codes do not fit \(elementType)")
    }
    self.warnings = warnings
  }

  /// Recommends levels for about as many codes as wanted.
  ///
  /// Powers of two of the paper's table get its levels. Otherwise it is 5 to 8 levels per dimension with the
  /// product nearest by ratio; of equal ones the fewest dimensions and then the most levels in front.
  /// - Parameters:
  ///   - target: The wanted number of codes, 5 to 2^32.
  ///   - elementType: The unsigned type that codes are to fit; nil for the narrowest.
  /// - Throws: `TesseraError` for a number of codes that cannot be.
  package init(target: Int, fitting elementType: ElementType? = nil) throws(TesseraError) {
    guard (5...1 << 32).contains(target) else {
      throw .mismatch("target: \(target) codes, and 5 to 2^32 are possible")
    }
    if let known = Self.published[target] {
      try self.init(levels: known, fitting: elementType)
      return
    }
    var best: (ratio: Double, levels: [Int]) = (.infinity, [5])
    func visit(_ levels: [Int], product: Int) {
      let ratio = Double(max(product, target)) / Double(min(product, target))
      let isBetter = ratio < best.ratio || (ratio == best.ratio && levels.count < best.levels.count)
      if !levels.isEmpty, product <= 1 << 32, isBetter { best = (ratio, levels) }
      guard product <= target else { return }
      for level in stride(from: levels.last ?? 8, through: 5, by: -1) {
        visit(levels + [level], product: product * level)
      }
    }
    visit([], product: 1)
    try self.init(levels: best.levels, fitting: elementType)
  }
}
