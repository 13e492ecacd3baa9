import CKernels

/// A distribution that stands for a row of logits, and how far it is from their softmax.
package struct SoftTarget: Hashable, Sendable {
  /// The classes with a probability, and these.
  package let distribution: SparseDistribution
  /// What softmax gives to these classes together.
  package let mass: Double
  /// Σ p ln(p / softmax), over these classes.
  package let divergence: Double
}

/// Turns rows of logits as files hold them into distributions.
///
/// Maps with a threshold see only the logits that can be above it, which one pass over the row finds.
package final class LogitRow {
  private let map: ProbabilityMap
  private let temperature: Double
  private let type: ckernels_logits_type
  private var floats: [Float]
  private var places: [UInt32]
  private var above: [Float]
  private let isa = InstructionSet.best.kernels

  /// Prepares rows of one length.
  ///
  /// - Parameters:
  ///   - map: From scores to probabilities.
  ///   - temperature: What scores are divided by.
  ///   - elementType: `float16`, `bfloat16` or `float32`.
  ///   - count: The classes.
  /// - Throws: ``TesseraError`` as ``ProbabilityMap/check(temperature:)``, and for another type.
  package init(
    map: ProbabilityMap,
    temperature: Double,
    elementType: ElementType,
    count: Int
  ) throws(TesseraError) {
    try ProbabilityMap.check(temperature: temperature)
    switch elementType {
    case .float16: type = CKERNELS_LOGITS_HALF
    case .bfloat16: type = CKERNELS_LOGITS_BFLOAT16
    case .float32: type = CKERNELS_LOGITS_FLOAT
    default: throw .mismatch("logits are F16, BF16 or F32, and these are \(elementType.rawValue)")
    }
    (self.map, self.temperature) = (map, temperature)
    floats = Array(repeating: 0, count: count)
    places = Array(repeating: 0, count: count)
    above = floats
  }

  /// The distribution of one row.
  ///
  /// - Parameter bytes: The stored logits, little-endian.
  /// - Returns: The distribution, its mass under softmax and its divergence from it.
  /// - Throws: ``TesseraError``, as the map's.
  package func target(of bytes: ArraySlice<UInt8>) throws(TesseraError) -> SoftTarget {
    let count = floats.count
    precondition(bytes.count == count * (type == CKERNELS_LOGITS_FLOAT ? 4 : 2), "a whole row")
    let top = unsafe bytes.withUnsafeBytes { bytes in
      unsafe ckernels_logits_widen(isa, type, count, bytes.baseAddress, &floats)
    }
    // The map names what is wrong with a row that is not finite or empty.
    guard top > -.infinity, count > 0 else {
      return try measured(try map.distribution(of: floats, temperature: temperature), top: top)
    }
    guard let reach = map.reach else {
      return try measured(try map.distribution(of: floats, temperature: temperature), top: top)
    }
    // A little further than the threshold: rounding must not lose a class.
    let limit = Float(Double(top) - reach * temperature * 1.001).nextDown
    let found = unsafe ckernels_logits_above(isa, count, floats, limit, &places, &above)
    let sieved = try map.distribution(of: above[..<found], temperature: temperature)
    return try measured(sieved.moved(to: places), top: top)
  }

  private func measured(
    _ distribution: SparseDistribution,
    top: Float
  ) throws(TesseraError) -> SoftTarget {
    let scale = 1 / temperature
    let sum = unsafe ckernels_logits_sum(isa, floats.count, floats, top, Float(scale))
    let offset = ElementaryFunctions.log(sum)
    var (mass, divergence) = (0.0, 0.0)
    for (index, value) in zip(distribution.indices, distribution.values) {
      let logarithm = (Double(floats[Int(index)]) - Double(top)) * scale - offset
      mass += ElementaryFunctions.exp(logarithm)
      divergence += Double(value) * (ElementaryFunctions.log(Double(value)) - logarithm)
    }
    return SoftTarget(
      distribution: distribution,
      mass: min(1, mass),
      divergence: max(0, divergence)
    )
  }
}

extension ProbabilityMap {
  /// How far below the largest score, in units of the temperature, a class can have a probability; nil
  /// where there is no such bound.
  fileprivate var reach: Double? {
    switch self {
    case .sparsemax: 1
    case .entmax(let alpha) where alpha > 1: 1 / (alpha - 1)
    case .softmax, .topK, .topP, .entmax, .taylor: nil
    }
  }

  /// The loss whose gradient at these targets is the student's distribution minus the target.
  package var matchingLoss: String {
    switch self {
    case .softmax, .topK, .topP, .entmax(1):
      "cross-entropy: -sum target log softmax(x)"
    case .sparsemax, .entmax(2):
      "sparsemax (Fenchel-Young): (1 - sum p^2) / 2 + (p - target) x, p = sparsemax(x)"
    case .entmax(let alpha):
      "entmax:\(alpha) (Fenchel-Young): (1 - sum p^\(alpha)) / (\(alpha) (\(alpha) - 1)) + (p - target) x, "
        + "p = entmax(x)"
    case .taylor(let order):
      "cross-entropy of the map itself: -sum target log taylor:\(order)(x)"
    }
  }
}

extension SparseDistribution {
  private init(indices: [UInt32], values: [Float]) {
    (self.indices, self.values) = (indices, values)
  }

  /// The distribution with each class at the place in a longer row that a list names.
  fileprivate func moved(to places: [UInt32]) -> SparseDistribution {
    SparseDistribution(indices: indices.map { places[Int($0)] }, values: values)
  }
}
