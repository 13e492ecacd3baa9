/// A function from scores to a probability distribution, by the names of the program: `softmax`,
/// `softmax:top-k=8`, `softmax:top-p=0.9`, `sparsemax`, `entmax:1.5`, `taylor:2`.
///
/// Everything is computed in float64, in one fixed order and with functions of our own, and rounded to
/// float32 at the end: the same bits on every CPU. Where scores tie, the lowest index is preferred.
package enum ProbabilityMap: Hashable, Sendable, CustomStringConvertible {
  /// e^x over its sum.
  case softmax
  /// Softmax over the k largest scores.
  case topK(Int)
  /// Softmax over the fewest largest scores whose probabilities reach p together.
  case topP(Double)
  /// The nearest point of the simplex (Martins and Astudillo 2016): max(0, x - τ).
  case sparsemax
  /// α-entmax (Peters and others 2019): max(0, (α - 1) x - τ)^(1 / (α - 1)); 1 is softmax, 2 sparsemax. Within
  /// 1e-6 for every α that is offered.
  case entmax(Double)
  /// Taylor's polynomial of e^x of an even order over its sum; it depends on where 0 is.
  case taylor(Int)

  /// The greatest α and the greatest order that are offered.
  private static let limits = (alpha: 1000.0, order: 64)

  /// Reads a map's name.
  ///
  /// - Parameter text: Such as `entmax:1.5`.
  /// - Throws: A ``TesseraError`` that says what is known.
  package init(parsing text: String) throws(TesseraError) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let option = parts.count > 1 ? String(parts[1]) : nil
    switch (parts.first.map(String.init) ?? "", option) {
    case ("softmax", nil): self = .softmax
    case ("sparsemax", nil): self = .sparsemax
    case ("softmax", let option?) where option.hasPrefix("top-k="):
      guard let count = Int(option.dropFirst(6)), count > 0 else {
        throw .mismatch("map '\(text)': k is a whole number from 1")
      }
      self = .topK(count)
    case ("softmax", let option?) where option.hasPrefix("top-p="):
      guard let share = Double(option.dropFirst(6)), share > 0, share <= 1 else {
        throw .mismatch("map '\(text)': p is above 0 and at most 1")
      }
      self = .topP(share)
    case ("entmax", let option?):
      guard let alpha = Double(option), (1...Self.limits.alpha).contains(alpha) else {
        throw .mismatch("map '\(text)': alpha is from 1 (softmax) to \(Int(Self.limits.alpha))")
      }
      self = .entmax(alpha)
    case ("taylor", let option?):
      guard let order = Int(option), (1...Self.limits.order).contains(order) else {
        throw .mismatch("map '\(text)': the order is even, from 2 to \(Self.limits.order)")
      }
      guard order.isMultiple(of: 2) else {
        throw .mismatch(
          "map '\(text)': Taylor polynomials of odd order are negative somewhere; take \(order + 1)"
        )
      }
      self = .taylor(order)
    default:
      throw .mismatch(
        "map '\(text)' is not known; known: softmax softmax:top-k=K softmax:top-p=P sparsemax "
          + "entmax:ALPHA taylor:K"
      )
    }
  }

  /// The name that ``init(parsing:)`` reads.
  package var description: String {
    switch self {
    case .softmax: "softmax"
    case .topK(let count): "softmax:top-k=\(count)"
    case .topP(let share): "softmax:top-p=\(share)"
    case .sparsemax: "sparsemax"
    case .entmax(let alpha): "entmax:\(alpha)"
    case .taylor(let order): "taylor:\(order)"
    }
  }

  /// Checks a temperature: above 0, and with an inverse that float32 holds, so that no score over it overflows.
  ///
  /// - Throws: ``TesseraError`` that says which it is not.
  package static func check(temperature: Double) throws(TesseraError) {
    guard temperature > 0, temperature.isFinite else {
      throw .mismatch("temperature: \(temperature) is not above 0")
    }
    guard Float(1 / temperature).isFinite else {
      throw .mismatch("temperature: \(temperature) is too small, float32 does not hold its inverse")
    }
  }

  /// The distribution of one row of scores.
  ///
  /// - Parameters:
  ///   - scores: One a class, any number of them; minus infinity stands for a class that is excluded.
  ///   - temperature: What the scores are divided by, above 0.
  /// - Returns: The classes with a probability above 0 in float32, in ascending order.
  /// - Throws: ``TesseraError`` for scores that are not numbers or plus infinity, a row without a class,
  ///   and as ``check(temperature:)``.
  package func distribution(
    of scores: ArraySlice<Float>,
    temperature: Double = 1
  ) throws(TesseraError) -> SparseDistribution {
    try Self.check(temperature: temperature)
    var largest = -Float.infinity
    for (index, score) in zip(scores.indices, scores) {
      guard score < .infinity else { throw .notFinite(score: index - scores.startIndex) }
      largest = max(largest, score)
    }
    guard largest > -.infinity else { throw .emptyRow }
    let top = Double(largest)
    let row = ShiftedLogits(scores: scores, top: top, temperature: temperature)
    switch self {
    case .softmax, .entmax(1): return row.softmax()
    case .topK(let count): return row.softmax(over: row.largest(count))
    case .topP(let share): return row.softmax(reaching: share)
    case .sparsemax, .entmax(2): return row.sparsemax()
    case .entmax(1.5): return row.entmax15()
    case .entmax(let alpha): return row.entmax(alpha)
    case .taylor(let order): return try row.taylor(order)
    }
  }

  /// The distribution of one row of scores.
  ///
  /// - Throws: As for a slice.
  package func distribution(
    of scores: [Float],
    temperature: Double = 1
  ) throws(TesseraError) -> SparseDistribution {
    try distribution(of: scores[...], temperature: temperature)
  }
}

/// A distribution over many classes of which few have a probability.
package struct SparseDistribution: Hashable, Sendable {
  /// The classes, ascending.
  package let indices: [UInt32]
  /// Their probabilities, each above 0.
  package let values: [Float]

  /// Creates a distribution; classes whose probability rounds to 0 are left out.
  init(_ entries: [(index: Int, probability: Double)]) {
    var indices: [UInt32] = []
    var values: [Float] = []
    indices.reserveCapacity(entries.count)
    values.reserveCapacity(entries.count)
    for (index, probability) in entries {
      let value = Float(probability)
      guard value > 0 else { continue }
      indices.append(UInt32(index))
      values.append(value)
    }
    (self.indices, self.values) = (indices, values)
  }
}
