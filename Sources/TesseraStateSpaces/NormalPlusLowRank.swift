package import TesseraCore

/// A as a normal matrix minus a product of rank 1 or 2: A = V diag(Λ) V* - Σ p pᵀ.
///
/// The normal part is a multiple of the identity plus a skew-symmetric matrix, so its eigenvalues
/// are conjugate pairs on one vertical line; of each pair the one below the real axis is kept, in
/// ascending order of imaginary parts, as state-spaces/s4 keeps them.
package struct NormalPlusLowRank: Hashable, Sendable {
  /// Λ, one of each pair.
  package let values: [ComplexNumber]
  /// V's columns for these, of length 1; the largest component of each is real and positive.
  package let vectors: ComplexMatrix
  /// p, real, one a rank.
  package let corrections: [[Double]]

  /// The largest order for which eigenvectors are computed.
  package static let largestOrder = 1024

  /// Whether a system has this structure in its form.
  package static func isDefined(for system: HippoSystem) -> Bool {
    [.legs, .legt, .fout].contains(system.measure) && [.paper, .blog].contains(system.form)
      && system.order % 2 == 0 && system.order <= largestOrder
  }

  /// Decomposes a system.
  ///
  /// - Throws: `TesseraError` where the system has no such structure.
  package init(of system: HippoSystem) throws(TesseraError) {
    guard NormalPlusLowRank.isDefined(for: system) else {
      throw .mismatch(
        "\(system.measure.rawValue) of order \(system.order) in form '\(system.form.rawValue)' is no "
          + "normal matrix plus low rank: that needs legs, legt or fout, paper or blog, an even order "
          + "up to \(NormalPlusLowRank.largestOrder)"
      )
    }
    let order = system.order
    let a = try system.matrices().a
    corrections = NormalPlusLowRank.corrections(of: system)
    // The mean of the diagonal of A + Σ p pᵀ is the common real part.
    let real = system.measure == .legs ? -0.5 : 0
    let columns = corrections
    let hermitian = ComplexMatrix(rows: order, columns: order) { row, column in
      guard row != column else { return .zero }
      let normal = a[row, column] + columns.reduce(0) { $0 + $1[row] * $1[column] }
      let mirrored = a[column, row] + columns.reduce(0) { $0 + $1[row] * $1[column] }
      return ComplexNumber(0, -(normal - mirrored) / 2)
    }
    let (frequencies, all) = try LinearAlgebra.hermitianEigen(hermitian)
    let half = order / 2
    values = frequencies.prefix(half).map { ComplexNumber(real, $0) }
    var vectors = ComplexMatrix(rows: order, columns: half) { all[$0, $1] }
    if system.measure == .fout {
      // The constant and the sine of frequency 0 share the eigenvalue 0: one vector that spans both
      // with its conjugate.
      let root = 0.5.squareRoot()
      for row in 0..<order { vectors[row, half - 1] = .zero }
      vectors[0, half - 1] = ComplexNumber(root)
      vectors[1, half - 1] = ComplexNumber(0, root)
    }
    self.vectors = NormalPlusLowRank.withFixedPhase(vectors)
  }

  /// The vectors p of a system.
  private static func corrections(of system: HippoSystem) -> [[Double]] {
    let order = system.order
    switch system.measure {
    case .legs: return [(0..<order).map { (Double($0) + 0.5).squareRoot() }]
    case .legt:
      let norms = (0..<order).map { (Double(2 * $0 + 1) / system.window).squareRoot() }
      return [1, 0].map { parity in (0..<order).map { $0 % 2 == parity ? norms[$0] : 0 } }
    default:
      let scale = (2 / system.window).squareRoot()
      return [HippoSystem.fourierEnds(order).map { $0 * scale }]
    }
  }

  /// Turns each column so that its largest component is real and positive: eigenvectors are unique
  /// only up to a phase, and files should not be.
  private static func withFixedPhase(_ vectors: ComplexMatrix) -> ComplexMatrix {
    var result = vectors
    for column in 0..<vectors.columns {
      let sizes = (0..<vectors.rows).map { vectors[$0, column].magnitude }
      let largest = sizes.max() ?? 0
      // The first of those that are equal but for rounding.
      guard largest > 0, let row = sizes.firstIndex(where: { $0 >= largest * (1 - 1e-9) }) else {
        continue
      }
      let turn = (1 / sizes[row]) * vectors[row, column].conjugate
      for row in 0..<vectors.rows { result[row, column] = turn * vectors[row, column] }
      result[row, column].imaginary = 0
    }
    return result
  }

  /// A real vector in the basis of the eigenvectors: V* v.
  func inEigenbasis(_ vector: [Double]) -> [ComplexNumber] {
    (0..<vectors.columns).map { column in
      var sum = ComplexNumber.zero
      for row in 0..<vectors.rows {
        sum += vector[row] * vectors[row, column].conjugate
      }
      return sum
    }
  }
}
