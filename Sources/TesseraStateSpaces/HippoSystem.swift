import Foundation
package import TesseraCore

/// A measure with everything that fixes its matrices.
package struct HippoSystem: Hashable, Sendable {
  /// The measure.
  package let measure: HippoMeasure
  /// The scaling.
  package let form: HippoForm
  /// The number of real states; of complex ones in the complex measures.
  package let order: Int
  /// The window's length, where the measure has one.
  package let window: Double
  /// The tilt of `lagt`: 0 keeps the weight in the basis, as public code does; 1 is Theorem 1's.
  package let tilt: Double

  /// The largest order: A takes 128 MiB.
  package static let largestOrder = 4096

  /// Creates a system.
  ///
  /// - Throws: `TesseraError` for a form that the measure does not have, and for numbers beyond
  ///   their limits.
  package init(
    _ measure: HippoMeasure,
    order: Int,
    form: HippoForm = .paper,
    window: Double = 1,
    tilt: Double = 0
  ) throws(TesseraError) {
    guard (1...HippoSystem.largestOrder).contains(order) else {
      throw .limit("order \(order) is not from 1 to \(HippoSystem.largestOrder)")
    }
    if let refusal = measure.refusal(of: form) { throw .mismatch(refusal) }
    if (measure.isDiagonal || measure == .fout) && order % 2 == 1 {
      throw .mismatch("order \(order) is odd, and \(measure.rawValue) has states in pairs")
    }
    if measure.isComplex && order % 2 == 0 {
      throw .mismatch(
        "order \(order) is even, and \(measure.rawValue) has the frequencies -K to K: 2K + 1"
      )
    }
    // Beyond these, entries of A leave the range in which steps can be taken at all.
    guard window.isFinite, window > 0, (1e-100...1e100).contains(window) else {
      throw .limit("a window of \(window) is not from 1e-100 to 1e100")
    }
    guard tilt.isFinite, abs(tilt) <= 1e6 else { throw .limit("a tilt of \(tilt)") }
    (self.measure, self.form, self.order, self.window) = (measure, form, order, window)
    self.tilt = tilt
  }

  /// The norm sqrt(2n+1) of a Legendre polynomial.
  static func norm(_ index: Int) -> Double { Double(2 * index + 1).squareRoot() }

  /// A and B of the real measures.
  ///
  /// - Throws: `TesseraError` where the measure is diagonal or complex.
  package func matrices() throws(TesseraError) -> (a: Matrix, b: [Double]) {
    switch measure {
    case .legs:
      return legendre { n, k in k < n ? -1 : k == n ? -Double(n + 1) / Double(2 * n + 1) : 0 }
    case .legt, .lmu:
      return legendre { n, k in (k < n || (n - k) % 2 == 0 ? -1 : 1) / window }
    case .fout:
      let b = HippoSystem.fourierEnds(order)
      let a = Matrix(order: order) { row, column in
        var value = -2 * b[row] * b[column]
        if row / 2 == column / 2, row != column {
          let turn = 2 * Double.pi * Double(row / 2)
          value += row < column ? -turn : turn
        }
        return value / window
      }
      return (a, b.map { 2 * $0 / window })
    case .lagt:
      let a = Matrix(order: order) { $1 < $0 ? -1 : $1 == $0 ? -(1 + tilt) / 2 : 0 }
      return (a, Array(repeating: 1, count: order))
    case .fourierWindow, .fourierFull, .s4dLinear, .s4dInverse, .s4dLegS, .s4dReal:
      throw .mismatch("\(measure.rawValue) has no real matrices")
    }
  }

  /// The values of the basis at the window's ends: 1 for the constant, sqrt 2 for each cosine.
  static func fourierEnds(_ order: Int) -> [Double] {
    (0..<order).map { $0 == 0 ? 1 : $0 % 2 == 0 ? 2.0.squareRoot() : 0 }
  }

  /// Legendre matrices in this form, from those with the norms left out.
  private func legendre(_ kernel: (Int, Int) -> Double) -> (a: Matrix, b: [Double]) {
    let scale = measure == .legs ? 1 : 1 / window
    let isWhole = form == .integer || form == .lmu || measure == .lmu
    let flips = form == .lmu || measure == .lmu
    let a = Matrix(order: order) { n, k in
      // One square root, so that a square comes out whole.
      let norms =
        isWhole ? Double(2 * n + 1) : Double((2 * n + 1) * (2 * k + 1)).squareRoot()
      let value = kernel(n, k) * norms
      return flips && (n - k) % 2 != 0 ? -value : value
    }
    let b = (0..<order).map { n -> Double in
      if isWhole { return (flips && n % 2 == 1 ? -1 : 1) * Double(2 * n + 1) * scale }
      return Double((form == .blog ? 2 : 1) * (2 * n + 1)).squareRoot() * scale
    }
    return (exactDiagonal(a), b)
  }

  /// LegS has whole numbers on its diagonal; the quotient above may miss them by a rounding.
  private func exactDiagonal(_ matrix: Matrix) -> Matrix {
    guard measure == .legs else { return matrix }
    var matrix = matrix
    for n in 0..<order { matrix[n, n] = -Double(n + 1) }
    return matrix
  }

  /// A and B of the complex measures; the states are the frequencies -K to K.
  ///
  /// - Throws: `TesseraError` where the measure is not complex.
  package func complexMatrices() throws(TesseraError) -> (a: ComplexMatrix, b: [ComplexNumber]) {
    guard measure.isComplex else { throw .mismatch("\(measure.rawValue) has no complex matrices") }
    let highest = order / 2
    let isWindow = measure == .fourierWindow
    let a = ComplexMatrix(rows: order, columns: order) { row, column in
      let (n, k) = (row - highest, column - highest)
      if isWindow {
        return ComplexNumber(-1 / window, n == k ? 2 * .pi * Double(n) / window : 0)
      }
      if n == k { return ComplexNumber(-1, .pi * Double(n)) }
      return n == 0 ? .zero : ComplexNumber(-Double(n) / Double(n - k))
    }
    return (a, Array(repeating: ComplexNumber(isWindow ? 1 / window : 1), count: order))
  }

  /// The eigenvalues of the diagonal measures, one of each conjugate pair.
  ///
  /// - Throws: `TesseraError` where the measure is not diagonal.
  package func diagonal() throws(TesseraError) -> [ComplexNumber] {
    let half = order / 2
    switch measure {
    case .s4dLinear: return (0..<half).map { ComplexNumber(-0.5, .pi * Double($0)) }
    case .s4dInverse:
      return (0..<half).map { n in
        let order = Double(order)
        return ComplexNumber(-0.5, order / .pi * (order / Double(2 * n + 1) - 1))
      }
    case .s4dLegS:
      let legs = try HippoSystem(.legs, order: order)
      // state-spaces/s4 keeps the halves with negative imaginary parts, and flips them here.
      return try NormalPlusLowRank(of: legs).values.map(\.conjugate)
    case .s4dReal: return (0..<half).map { ComplexNumber(-Double($0 + 1)) }
    default: throw .mismatch("\(measure.rawValue) is not diagonal")
    }
  }
}
