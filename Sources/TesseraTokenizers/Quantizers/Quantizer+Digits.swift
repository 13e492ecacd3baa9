public import TesseraCore

extension Quantizer {
  /// The levels of each digit of a position's codes, or nil where a code is no number of digits: the rows of
  /// a codebook have no order.
  public var digitLevels: [Int]? {
    switch self {
    case .finiteScalar(let quantizer): return quantizer.levels
    case .binary(let quantizer): return [Int](repeating: 2, count: quantizer.dimensions)
    case .vector, .multiScale: return nil
    case .grouped(let quantizer): return Quantizer.joined(quantizer.groups)
    case .residual(let quantizer): return Quantizer.joined(quantizer.stages)
    }
  }

  private static func joined(_ parts: [Quantizer]) -> [Int]? {
    let levels = parts.compactMap(\.digitLevels)
    return levels.count == parts.count ? levels.flatMap(\.self) : nil
  }

  /// Takes codes apart into digits, one a dimension: group by group and stage by stage, ``digitLevels`` each.
  ///
  /// - Throws: `TesseraError`; `.setting` where codes have no digits.
  public func digits(of codes: [UInt32]) throws(TesseraError) -> [UInt32] {
    switch self {
    case .finiteScalar(let quantizer): return try quantizer.digits(of: codes)
    case .binary(let quantizer): return try quantizer.digits(of: codes)
    case .vector, .multiScale: throw Quantizer.noDigits
    case .grouped(let quantizer):
      return try Quantizer.through(
        quantizer.groups,
        codes,
        widths: quantizer.groups.map(\.codesPerPosition)
      ) {
        part,
        codes throws(TesseraError) in (try part.digits(of: codes), part.digitLevels?.count ?? 0)
      }
    case .residual(let quantizer):
      return try Quantizer.through(
        quantizer.stages,
        codes,
        widths: quantizer.stages.map(\.codesPerPosition)
      ) {
        part,
        codes throws(TesseraError) in (try part.digits(of: codes), part.digitLevels?.count ?? 0)
      }
    }
  }

  /// Puts digits together into codes, the inverse of ``digits(of:)``.
  ///
  /// - Throws: `TesseraError`, `.shape`; `.setting` where codes have no digits.
  public func codes(ofDigits digits: [UInt32]) throws(TesseraError) -> [UInt32] {
    guard let width = digitLevels?.count else { throw Quantizer.noDigits }
    guard digits.count.isMultiple(of: width) else {
      throw .mismatch("\(digits.count) digits are not whole positions of \(width)")
    }
    switch self {
    case .finiteScalar(let quantizer): return try quantizer.codes(ofDigits: digits)
    case .binary(let quantizer): return try quantizer.codes(ofDigits: digits)
    case .vector, .multiScale: throw Quantizer.noDigits
    case .grouped(let quantizer):
      let widths = quantizer.groups.map { $0.digitLevels?.count ?? 0 }
      return try Quantizer.through(quantizer.groups, digits, widths: widths) {
        part,
        digits throws(TesseraError) in (try part.codes(ofDigits: digits), part.codesPerPosition)
      }
    case .residual(let quantizer):
      let widths = quantizer.stages.map { $0.digitLevels?.count ?? 0 }
      return try Quantizer.through(quantizer.stages, digits, widths: widths) {
        part,
        digits throws(TesseraError) in (try part.codes(ofDigits: digits), part.codesPerPosition)
      }
    }
  }

  private static let noDigits = TesseraError.mismatch(
    "the codes of a codebook have no digits: its rows have no order; leave --digits out"
  )

  /// Runs each part on its own columns of `numbers`, and puts the results side by side.
  private static func through(
    _ parts: [Quantizer],
    _ numbers: [UInt32],
    widths: [Int],
    _ body: (Quantizer, [UInt32]) throws(TesseraError) -> ([UInt32], width: Int)
  ) throws(TesseraError) -> [UInt32] {
    let whole = widths.reduce(0, +)
    var results: [[UInt32]] = []
    var resultWidths: [Int] = []
    var first = 0
    for (part, width) in zip(parts, widths) {
      let columns = first..<first + width
      do {
        let (result, resultWidth) = try body(part, numbers.columns(columns, of: whole))
        results.append(result)
        resultWidths.append(resultWidth)
      } catch {
        throw error.inColumns(columns, of: whole)
      }
      first = columns.upperBound
    }
    return results.interleaved(widths: resultWidths, count: numbers.count / whole)
  }
}
