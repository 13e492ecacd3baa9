package import TesseraCore

/// The five public ways to step x' = (A x + B u) / t from K samples to K + 1.
package enum LegsConvention: String, Sendable, CaseIterable {
  /// The paper's and post 10137's: the derivative at K explicit, at K + 1 implicit, the input at K.
  case paper
  /// Exact for an input held over each step: the projection of the step function.
  case optimal
  /// `paper` with the input's weight averaged over both ends, which keeps constants.
  case trap
  /// hippo-code's C++: both ends at K.
  case hippoC = "hippo-c"
  /// hippo-code's Python class: both ends at K + 1, from K = 0.
  case hippoPython = "hippo-py"

  /// The first K that can be stepped from.
  package var firstStep: Int { self == .hippoPython ? 0 : 1 }

  /// The weights of one step: (I - implicit A) x' = (I + explicit A) x + input B u; nil for `optimal`.
  func weights(step: Int) -> (explicit: Double, implicit: Double, input: Double)? {
    let (now, next) = (Double(step), Double(step) + 1)
    return switch self {
    case .optimal: nil
    case .paper: (1 / (2 * now), 1 / (2 * next), 1 / now)
    case .trap: (1 / (2 * now), 1 / (2 * next), (1 / now + 1 / next) / 2)
    case .hippoC: (1 / (2 * now), 1 / (2 * now), 1 / now)
    case .hippoPython: (1 / (2 * next), 1 / (2 * next), 1 / next)
    }
  }
}

/// One step of a system whose equation has the factor 1/t.
package struct LegsStep: Sendable {
  /// The samples seen before.
  package let step: Int

  /// Creates the step from K samples to K + 1.
  ///
  /// - Throws: `TesseraError` for a K from which nothing can be stepped.
  package init(_ step: Int, first: Int) throws(TesseraError) {
    guard step >= first, step < 1 << 52 else {
      throw .limit("step K = \(step) is not from \(first) to 2^52: 1/K is a weight")
    }
    self.step = step
  }

  /// Ā and B̄ of a system by a rule.
  ///
  /// - Throws: `TesseraError` where the measure has no factor 1/t, or a mode would grow.
  package func file(
    of system: HippoSystem,
    by rule: VaryingRule
  ) throws(TesseraError) -> StateSpaceFile {
    var file = try StateSpaceFile(system)
    let pair = try matrices(of: VaryingSystem(system, rule))
    file.arrays["A_bar"] = pair.a
    file.arrays["B_bar"] = pair.b
    switch rule {
    case .convention(let convention):
      file.metadata[StateSpaceFile.Key.convention] = convention.rawValue
    case .weighted(let method): file.metadata[StateSpaceFile.Key.method] = method.name
    }
    file.metadata[StateSpaceFile.Key.legsStep] = "\(step)"
    file.metadata[StateSpaceFile.Key.equation] =
      "x' = (A x + B u) / t; x[K+1] = A_bar x[K] + B_bar u[K] at K = \(step)"
    return file
  }

  /// Ā and B̄ as arrays of a file.
  func matrices(
    of varying: VaryingSystem
  ) throws(TesseraError) -> (a: StateSpaceArray, b: StateSpaceArray) {
    let (system, dense) = (varying.system, varying.dense)
    if varying.rule == .convention(.optimal), system.measure == .legs {
      let (a, b) = exact(system)
      return (
        StateSpaceArray(a.elements, shape: [a.rows, a.columns]), StateSpaceArray(b, shape: [a.rows])
      )
    }
    let pair: (a: Matrix, b: Matrix)
    if let weights = varying.rule.weights(step: step) {
      try varying.check(weights, step: step)
      pair = try solved(dense, weights)
    } else {
      // In the time ln t the equation has constant coefficients.
      let length = TwoDoubles(1, over: step).high.logOfOnePlus
      pair = try DiscretizationMethod.zeroOrderHold(dense.a, dense.b, step: length)
    }
    return (
      dense.stored([pair.a], shape: [dense.order, dense.order]),
      dense.stored([pair.b], shape: [dense.order])
    )
  }

  private func solved(
    _ system: DenseSystem,
    _ weights: (explicit: Double, implicit: Double, input: Double)
  ) throws(TesseraError) -> (a: Matrix, b: Matrix) {
    let identity = Matrix.identity(system.a.rows)
    let implicit = Matrix.combination(1, identity, -weights.implicit, system.a)
    let explicit = Matrix.combination(1, identity, weights.explicit, system.a)
    return (
      try LinearAlgebra.solve(implicit, explicit),
      try LinearAlgebra.solve(implicit, system.b.scaled(by: weights.input))
    )
  }

  /// The exact step of LegS, which is rational in the integer form.
  ///
  /// With ρ = K / (K+1), the past fills the part [0, ρ] of the new interval, so Ā holds the
  /// coefficients of P_n(ρ z - (1 - ρ)) in the P_j(z). They follow from the three-term recurrence of
  /// the P_n, here with 106 bits.
  func exact(_ system: HippoSystem) -> (a: Matrix, b: [Double]) {
    LegsStep.exact(order: system.order, form: system.form, step: step)
  }

  /// The exact step in orthonormal scaling.
  static func exactPaper(order: Int, step: Int) -> (a: Matrix, b: [Double]) {
    exact(order: order, form: .paper, step: step)
  }

  private static func exact(
    order: Int,
    form: HippoForm,
    step: Int
  ) -> (a: Matrix, b: [Double]) {
    let isWhole = form == .integer
    let ratio = TwoDoubles(step, over: step + 1)
    let shift = TwoDoubles(1, over: step + 1)
    var previous = [TwoDoubles](repeating: TwoDoubles(0), count: order + 1)
    var current = previous
    current[0] = TwoDoubles(1)
    var a = Matrix(rows: order, columns: order)
    var b = [Double](repeating: 0, count: order)
    for n in 0..<order {
      for j in 0...n {
        let value = ratio * current[j]
        a[n, j] = scaled(value, n, j, isWhole: isWhole)
      }
      let first = ratio * current[0] * TwoDoubles(Double(2 * n + 1))
      let rest = n == 0 ? TwoDoubles(1) - first : -first
      let norm = Double((form == .blog ? 2 : 1)).squareRoot() / HippoSystem.norm(n)
      b[n] = isWhole ? rest.high : rest.high * norm
      (previous, current) = (current, following(n, current, previous, ratio, shift))
    }
    return (a, b)
  }

  private static func scaled(_ value: TwoDoubles, _ n: Int, _ j: Int, isWhole: Bool) -> Double {
    guard isWhole else {
      return value.high * (Double(2 * n + 1) / Double(2 * j + 1)).squareRoot()
    }
    return (value * TwoDoubles(Double(2 * n + 1)) / Double(2 * j + 1)).high
  }

  /// The coefficients of P_(n+1), from those of P_n and P_(n-1).
  private static func following(
    _ n: Int,
    _ current: [TwoDoubles],
    _ previous: [TwoDoubles],
    _ ratio: TwoDoubles,
    _ shift: TwoDoubles
  ) -> [TwoDoubles] {
    var next = current
    for j in current.indices where j <= n + 1 {
      // z P_j = ((j+1) P_(j+1) + j P_(j-1)) / (2j+1)
      var moved = TwoDoubles(0)
      if j > 0 { moved = current[j - 1] * TwoDoubles(Double(j)) / Double(2 * j - 1) }
      if j + 1 < current.count {
        moved = moved + current[j + 1] * TwoDoubles(Double(j + 1)) / Double(2 * j + 3)
      }
      let turned = ratio * moved - shift * current[j]
      let sum = TwoDoubles(Double(2 * n + 1)) * turned - TwoDoubles(Double(n)) * previous[j]
      next[j] = sum / Double(n + 1)
    }
    return next
  }
}
