package import TesseraCore

/// Sparse distributions over the codes of one image, one row per position: compressed rows.
package struct SoftCodes: Hashable, Sendable {
  /// Where each position's entries begin, and the end: positions + 1 numbers.
  package private(set) var starts: [Int64] = [0]
  /// The codes, ascending in a position.
  package private(set) var codes: [UInt32] = []
  /// Their probabilities.
  package private(set) var values: [Float] = []

  /// Creates the distributions of no position.
  package init() {}

  /// Appends a position.
  package mutating func append(_ distribution: SparseDistribution) {
    codes += distribution.indices
    values += distribution.values
    starts.append(Int64(codes.count))
  }
}

extension Quantizer {
  /// The most codes that soft codes are computed over.
  private static let largestSoftVocabulary = 1 << 20

  /// Checks that there can be soft codes: one code per position, and not too many to choose from.
  ///
  /// - Throws: `TesseraError` that says why there are none.
  package func checkSoftCodes() throws(TesseraError) {
    switch self {
    case .grouped, .residual, .multiScale:
      throw .mismatch("soft codes and draws need a quantizer with one code per position")
    case .finiteScalar, .vector, .binary: break
    }
  }

  /// The distributions over the codes of each position: a map of -|z - e|² / temperature.
  ///
  /// z is the latent as the quantizer compares it with e, the values of a code: for `l2` the latent itself,
  /// for FSQ the bounded latent before rounding, for BSQ the normalized one. Where codes are compared by
  /// cosines, products or logits those take the place of -|z - e|².
  /// - Parameters:
  ///   - latents: ``dimensions`` values per position.
  ///   - map: What makes probabilities of scores.
  ///   - temperature: Above 0.
  /// - Returns: One row per position.
  /// - Throws: As ``quantize(_:)``, `TesseraError`, and where ``checkSoftCodes()`` does.
  package func softCodes(
    _ latents: [Float],
    map: ProbabilityMap,
    temperature: Double
  ) throws -> SoftCodes {
    try checkSoftCodes()
    guard vocabularySize <= Self.largestSoftVocabulary else {
      throw TesseraError.mismatch(
        "soft codes over \(vocabularySize) codes, and 2^20 are possible"
      )
    }
    var soft = SoftCodes()
    let block = max(1, (1 << 21) / vocabularySize) * dimensions
    for start in stride(from: 0, to: latents.count, by: block) {
      let scores = try scores(Array(latents[start..<min(latents.count, start + block)]))
      for row in stride(from: 0, to: scores.count, by: vocabularySize) {
        let slice = scores[row..<row + vocabularySize]
        soft.append(try map.distribution(of: slice, temperature: temperature))
      }
    }
    return soft
  }

  /// Codes drawn from the softmax of -|z - e|² / temperature by the Gumbel-max rule.
  ///
  /// Where -|z - e|² is a sum over the dimensions (FSQ, LFQ, BSQ) each digit is drawn by itself, which is the
  /// same distribution; draw n of a position belongs to the n-th level of all dimensions in their order.
  /// - Parameters:
  ///   - latents: ``dimensions`` values per position.
  ///   - temperature: Above 0.
  ///   - random: The numbers of this image.
  /// - Returns: One code per position.
  /// - Throws: As ``softCodes(_:map:temperature:)``.
  package func draw(
    _ latents: [Float],
    temperature: Double,
    random: CounterRandom
  ) throws -> [UInt32] {
    try checkSoftCodes()
    try ProbabilityMap.check(temperature: temperature)
    let positions = latents.count / dimensions
    if case .vector(let quantizer) = self {
      var codes: [UInt32] = []
      let block = max(1, (1 << 21) / vocabularySize)
      for start in stride(from: 0, to: positions, by: block) {
        let part = latents[start * dimensions..<min(positions, start + block) * dimensions]
        let scores = try quantizer.scores(Array(part))
        for (row, first) in stride(from: 0, to: scores.count, by: vocabularySize).enumerated() {
          let code = random.gumbelMaximum(
            scores[first..<first + vocabularySize],
            temperature: temperature,
            position: start + row
          )
          codes.append(UInt32(code))
        }
      }
      return codes
    }
    let tables = try levelScores(latents)
    let width = tables.levels.reduce(0, +)
    var digits: [UInt32] = []
    for position in 0..<positions {
      var first = 0
      for levels in tables.levels {
        let start = position * width + first
        let digit = random.gumbelMaximum(
          tables.scores[start..<start + levels],
          temperature: temperature,
          position: position,
          first: first
        )
        digits.append(UInt32(digit))
        first += levels
      }
    }
    return try codes(ofDigits: digits)
  }

  /// The score of every code at each position.
  private func scores(_ latents: [Float]) throws(TesseraError) -> [Float] {
    if case .vector(let quantizer) = self { return try quantizer.scores(latents) }
    let tables = try levelScores(latents)
    let width = tables.levels.reduce(0, +)
    // The least significant digit first: each next one multiplies the codes.
    var order = Array(tables.levels.indices)
    if case .binary(let quantizer) = self, quantizer.order == .big { order.reverse() }
    let firsts = tables.levels.indices.map { tables.levels[..<$0].reduce(0, +) }
    var all: [Float] = []
    all.reserveCapacity(latents.count / dimensions * vocabularySize)
    for position in 0..<latents.count / dimensions {
      var sums: [Float] = [0]
      for dimension in order {
        let start = position * width + firsts[dimension]
        let lower = sums
        sums = []
        sums.reserveCapacity(lower.count * tables.levels[dimension])
        for level in 0..<tables.levels[dimension] {
          let score = tables.scores[start + level]
          for sum in lower { sums.append(sum + score) }
        }
      }
      all += sums
    }
    return all
  }

  /// Minus the squared distance of each dimension to each of its levels, levels innermost.
  private func levelScores(
    _ latents: [Float]
  ) throws(TesseraError) -> (levels: [Int], scores: [Float]) {
    _ = try quantize(latents)
    switch self {
    case .finiteScalar(let quantizer):
      return (quantizer.levels, quantizer.levelScores(latents))
    case .binary(let quantizer):
      return (digitLevels ?? [], quantizer.levelScores(latents))
    case .vector, .grouped, .residual, .multiScale:
      throw .mismatch("this quantizer's distances are no sum over levels")
    }
  }
}

extension BinaryQuantizer {
  /// Minus the squared distance of each dimension to the values of 0 and 1.
  fileprivate func levelScores(_ latents: [Float]) -> [Float] {
    var values = latents
    if kind == .bsq { values.normalizeRows(of: dimensions) }
    let one: Float = kind == .lfq ? 1 : 1 / Float(dimensions).squareRoot()
    return values.flatMap { [-($0 + one) * ($0 + one), -($0 - one) * ($0 - one)] }
  }
}

extension FiniteScalarQuantizer {
  /// Minus the squared distance of each bounded dimension to the values of its levels; for `s3`, whose codes
  /// have no values, to the digits.
  fileprivate func levelScores(_ latents: [Float]) -> [Float] {
    var scores: [Float] = []
    scores.reserveCapacity(latents.count / dimensions * levels.reduce(0, +))
    for (index, latent) in latents.enumerated() {
      let count = levels[index % dimensions]
      let place = place(of: latent, dimension: index % dimensions)
      let step: Float =
        switch variant {
        case .symmetric, .symmetricClamp: 2 / Float(count - 1)
        case .sigmoid: 1 / Float(count - 1)
        case .paperTan, .atanh, .ifsq: 1 / Float(count / 2)
        case .s3: 1
        }
      for level in 0..<count {
        let distance = (place - Float(level)) * step
        scores.append(-distance * distance)
      }
    }
    return scores
  }

  /// The bounded latent before rounding, in digits.
  private func place(of latent: Float, dimension: Int) -> Float {
    let bound = bounds[dimension]
    func tanh(_ x: Float) -> Float { Float(ElementaryFunctions.tanh(Double(x))) }
    func sigmoid(_ x: Float) -> Float { Float(ElementaryFunctions.sigmoid(Double(x))) }
    return switch variant {
    case .paperTan, .atanh:
      tanh(latent + bound.shift) * bound.scale - bound.offset + bound.digitOffset
    case .s3: tanh(latent) * bound.scale + bound.digitOffset
    case .symmetric: bound.scale * (tanh(latent) + 1) / 2
    case .symmetricClamp: bound.scale * (max(-1, min(1, latent)) + 1) / 2
    case .sigmoid: sigmoid(latent) * bound.scale
    case .ifsq: (2 * sigmoid(1.6 * latent) - 1) * bound.scale + bound.digitOffset
    }
  }
}
