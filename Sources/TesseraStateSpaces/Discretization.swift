package import TesseraCore

/// How x' = A x + B u becomes x[k+1] = Ā x[k] + B̄ u[k], with u held for one step.
package enum DiscretizationMethod: Hashable, Sendable {
  /// Generalised bilinear transform: the share α of the derivative at the step's end. 0 is forward
  /// Euler, 1 backward Euler, 1/2 the bilinear (Tustin) rule.
  case generalizedBilinear(Double)
  /// Exact for a held input: Ā = e^(dt A).
  case zeroOrderHold

  /// Forward Euler.
  package static let forward = generalizedBilinear(0)
  /// Backward Euler.
  package static let backward = generalizedBilinear(1)
  /// The trapezoidal rule.
  package static let bilinear = generalizedBilinear(0.5)

  /// Reads `forward`, `backward`, `bilinear`, `gbt:A` with A from 0 to 1, or `zoh`.
  package init?(name: String) {
    switch name {
    case "forward": self = .forward
    case "backward": self = .backward
    case "bilinear": self = .bilinear
    case "zoh": self = .zeroOrderHold
    default:
      guard name.hasPrefix("gbt:"), let weight = Double(name.dropFirst(4)), 0...1 ~= weight else {
        return nil
      }
      self = .generalizedBilinear(weight)
    }
  }

  /// The name that `init(name:)` reads.
  package var name: String {
    switch self {
    case .forward: "forward"
    case .backward: "backward"
    case .bilinear: "bilinear"
    case .generalizedBilinear(let weight): "gbt:\(weight)"
    case .zeroOrderHold: "zoh"
    }
  }
}

extension DiscretizationMethod {
  /// The largest matrix that is exponentiated: 2 GiB.
  private static let largestExponential = 1 << 14

  /// Discretises a real system; B may have several columns.
  ///
  /// - Throws: `TesseraError` where a matrix to be inverted is singular, or e^(dt A) overflows or
  ///   is too large.
  package func callAsFunction(
    _ a: Matrix,
    _ b: Matrix,
    step: Double
  ) throws(TesseraError) -> (a: Matrix, b: Matrix) {
    let order = a.rows
    switch self {
    case .zeroOrderHold:
      guard order + b.columns <= DiscretizationMethod.largestExponential else {
        throw .limit(
          "zoh of \(order) real states and \(b.columns) inputs takes a matrix beyond "
            + "\(DiscretizationMethod.largestExponential) rows; use bilinear, or fewer inputs"
        )
      }
      // The exponential of [[A, B], [0, 0]] needs no inverse of A, which may be singular.
      var block = Matrix(rows: order + b.columns, columns: order + b.columns)
      for row in 0..<order {
        for column in 0..<order { block[row, column] = step * a[row, column] }
        for column in 0..<b.columns { block[row, order + column] = step * b[row, column] }
      }
      return try MatrixExponential.of(block).split(order: order)
    case .generalizedBilinear(let weight):
      let identity = Matrix.identity(order)
      let explicit = Matrix.combination(1, identity, (1 - weight) * step, a)
      guard weight > 0 else { return (explicit, b.scaled(by: step)) }
      let implicit = Matrix.combination(1, identity, -weight * step, a)
      var right = Matrix(rows: order, columns: order + b.columns)
      for row in 0..<order {
        for column in 0..<order { right[row, column] = explicit[row, column] }
        for column in 0..<b.columns { right[row, order + column] = step * b[row, column] }
      }
      return try LinearAlgebra.solve(implicit, right).split(order: order)
    }
  }

  /// Discretises one mode.
  func callAsFunction(
    _ eigenvalue: ComplexNumber,
    step: Double
  ) -> (a: ComplexNumber, inputFactor: ComplexNumber) {
    let z = step * eigenvalue
    switch self {
    case .zeroOrderHold: return (z.exponential, step * z.firstPhi)
    case .generalizedBilinear(let weight):
      let implicit = .one - weight * z
      return ((.one + (1 - weight) * z) / implicit, ComplexNumber(step) / implicit)
    }
  }

  /// Refuses a step with which a mode that decays would grow.
  ///
  /// - Throws: `TesseraError` with the longest step.
  func check(step: Double, against eigenvalues: [ComplexNumber]) throws(TesseraError) {
    guard case .generalizedBilinear(let weight) = self, weight < 0.5 else { return }
    var bound = (step: Double.infinity, eigenvalue: ComplexNumber.zero)
    for value in eigenvalues {
      let square = value.real * value.real + value.imaginary * value.imaginary
      // Rounded zeros, and modes that grow by themselves, set no bound.
      guard step * square.squareRoot() > 1e-12, value.real <= 0 else { continue }
      let longest = -2 * value.real / ((1 - 2 * weight) * square)
      if longest < bound.step { bound = (longest, value) }
    }
    guard step > bound.step * (1 + 1e-12) else { return }
    let size =
      (ComplexNumber.one + (1 - weight) * step * bound.eigenvalue)
      / (.one - weight * step * bound.eigenvalue)
    throw .limit(
      "\(name) explodes at dt \(step): the mode \(bound.eigenvalue.real) + "
        + "\(bound.eigenvalue.imaginary)i grows by \(size.magnitude) a step; it is stable up to dt "
        + "\(bound.step); use bilinear or zoh"
    )
  }
}

extension Matrix {
  /// The first `order` rows in two parts: the first `order` columns, and those behind.
  fileprivate func split(order: Int) -> (a: Matrix, b: Matrix) {
    var a = Matrix(rows: order, columns: order)
    var b = Matrix(rows: order, columns: columns - order)
    for row in 0..<order {
      for column in 0..<order { a[row, column] = self[row, column] }
      for column in order..<columns { b[row, column - order] = self[row, column] }
    }
    return (a, b)
  }
}
