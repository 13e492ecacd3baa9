package import TesseraCore

/// The vectors that codes stand for: `count` rows of `dimensions` values.
package struct Codebook: Hashable, Sendable {
  /// The number of codes.
  package let count: Int
  /// The values of one code.
  package let dimensions: Int
  /// The rows one after the other.
  package let values: [Float]

  /// The most codes: positions of codes are signed 32-bit numbers in the kernels.
  static let largestCount = 1 << 30

  /// Creates a codebook.
  ///
  /// - Throws: `TesseraError` where it is empty or incomplete, or a value is not finite.
  package init(count: Int, dimensions: Int, values: [Float]) throws(TesseraError) {
    guard count > 0, dimensions > 0, count <= Codebook.largestCount, dimensions <= 1 << 16 else {
      throw .mismatch(
        "a codebook of [\(count), \(dimensions)], and [codes, dimensions] are 1 to 2^30 and 1 to 65536"
      )
    }
    let (expected, overflow) = count.multipliedReportingOverflow(by: dimensions)
    guard !overflow, values.count == expected else {
      throw .mismatch("a codebook of [\(count), \(dimensions)] with \(values.count) values")
    }
    if let index = values.firstIndexNotFinite {
      throw .mismatch("row \(index / dimensions) of the codebook holds an infinity or not-a-number")
    }
    (self.count, self.dimensions, self.values) = (count, dimensions, values)
  }
}

extension [Float] {
  /// The index of the first infinity or not-a-number.
  var firstIndexNotFinite: Int? {
    // Finite numbers leave 0 when multiplied by 0; anything else leaves not-a-number.
    let check = reduce(Float(0)) { $0 + $1 * 0 }
    return check == 0 ? nil : firstIndex { !$0.isFinite }
  }

  /// The number of positions of `dimensions` latents each, all of which are finite.
  ///
  /// - Throws: `TesseraError`, with the index of the first latent that is not.
  func positions(of dimensions: Int) throws(TesseraError) -> Int {
    guard count.isMultiple(of: dimensions) else {
      throw .mismatch("\(count) latents are not whole positions of \(dimensions) dimensions")
    }
    if let index = firstIndexNotFinite { throw .notFinite(index: index, dimensions: dimensions) }
    return count / dimensions
  }

  /// Divides each run of `dimensions` values by its Euclidean norm, which counts as 10^-12 at least.
  ///
  /// The norm is summed in float64 and rounded to float32; the division is float32, as PyTorch's
  /// `F.normalize` does it but for the order of its sum.
  mutating func normalizeRows(of dimensions: Int) {
    for start in Swift.stride(from: 0, to: count, by: dimensions) {
      var sum = 0.0
      for index in start..<start + dimensions { sum += Double(self[index]) * Double(self[index]) }
      let norm = Swift.max(Float(sum.squareRoot()), 1e-12)
      for index in start..<start + dimensions { self[index] /= norm }
    }
  }
}
