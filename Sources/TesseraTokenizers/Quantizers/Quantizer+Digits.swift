package import TesseraCore

extension Quantizer {
  /// The levels of each digit of a position's codes, or nil where a code is no number of digits: the rows of
  /// a codebook have no order.
  package var digitLevels: [Int]? {
    switch self {
    case .finiteScalar(let quantizer): return quantizer.levels
    case .binary(let quantizer): return [Int](repeating: 2, count: quantizer.dimensions)
    case .vector, .multiScale: return nil
    case .grouped, .residual:
      let levels = parts.compactMap(\.digitLevels)
      return levels.count == parts.count ? levels.flatMap(\.self) : nil
    }
  }

  /// The quantizers whose codes stand side by side at a position.
  private var parts: [Quantizer] {
    switch self {
    case .grouped(let quantizer): quantizer.groups
    case .residual(let quantizer): quantizer.stages
    case .finiteScalar, .binary, .vector, .multiScale: [self]
    }
  }

  /// Takes codes apart into digits, one per dimension: group by group and stage by stage, ``digitLevels`` each.
  ///
  /// - Throws: `TesseraError`; `.setting` where codes have no digits.
  package func digits(of codes: [UInt32]) throws(TesseraError) -> [UInt32] {
    switch self {
    case .finiteScalar(let quantizer): return try quantizer.digits(of: codes)
    case .binary(let quantizer): return try quantizer.digits(of: codes)
    case .vector, .multiScale: throw Quantizer.noDigits
    case .grouped, .residual:
      return try through(codes, widths: parts.map(\.codesPerPosition)) {
        part,
        codes throws(TesseraError) in (try part.digits(of: codes), part.digitLevels?.count ?? 0)
      }
    }
  }

  /// Puts digits together into codes, the inverse of ``digits(of:)``.
  ///
  /// - Throws: `TesseraError`, `.shape`; `.setting` where codes have no digits.
  package func codes(ofDigits digits: [UInt32]) throws(TesseraError) -> [UInt32] {
    guard let width = digitLevels?.count else { throw Quantizer.noDigits }
    guard digits.count.isMultiple(of: width) else {
      throw .mismatch("\(digits.count) digits are not whole positions of \(width)")
    }
    switch self {
    case .finiteScalar(let quantizer): return try quantizer.codes(ofDigits: digits)
    case .binary(let quantizer): return try quantizer.codes(ofDigits: digits)
    case .vector, .multiScale: throw Quantizer.noDigits
    case .grouped, .residual:
      return try through(digits, widths: parts.map { $0.digitLevels?.count ?? 0 }) {
        part,
        digits throws(TesseraError) in (try part.codes(ofDigits: digits), part.codesPerPosition)
      }
    }
  }

  private static let noDigits = TesseraError.mismatch(
    "the codes of a codebook have no digits: its rows have no order; leave --digits out"
  )

  /// Runs each part on its own columns of `numbers`, and puts the results side by side.
  private func through(
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

extension [UInt32] {
  /// Takes codes apart, each checked, into `width` digits.
  @inline(__always)
  func digits(
    width: Int,
    vocabularySize: Int,
    _ append: (_ code: UInt32, _ digits: inout [UInt32]) -> Void
  ) throws(TesseraError) -> [UInt32] {
    var digits: [UInt32] = []
    digits.reserveCapacity(count * width)
    for (index, code) in enumerated() {
      try TesseraError.check(code, at: index, vocabularySize: vocabularySize)
      append(code, &digits)
    }
    return digits
  }
}
