import CKernels
import TesseraCore

/// The kernels that step a system, and their numbers.
extension SignalEncoder {
  static func varying(
    _ system: HippoSystem,
    _ rule: VaryingRule
  ) throws(TesseraError) -> Kernel {
    guard system.measure == .legs, case .convention(let convention) = rule else {
      // The scales of the form come last, as with the other kernels.
      let paper = try HippoSystem(
        system.measure,
        order: system.order,
        window: system.window,
        tilt: system.tilt
      )
      return .varying(try VaryingSystem(paper, rule))
    }
    // While 1/K is large, the exact matrices cost less than a Taylor sum in many parts.
    let parts = UInt64(max(32, system.order / 5))
    return switch convention {
    case .paper: .legs(CKERNELS_LEGS_PAPER, exactSteps: 0)
    case .trap: .legs(CKERNELS_LEGS_TRAP, exactSteps: 0)
    case .hippoC: .legs(CKERNELS_LEGS_HIPPO_C, exactSteps: 0)
    case .hippoPython: .legs(CKERNELS_LEGS_HIPPO_PY, exactSteps: 0)
    case .optimal:
      .legs(
        CKERNELS_LEGS_OPTIMAL,
        exactSteps: ckernels_legs_dense_until(system.order, parts)
      )
    }
  }

  static func constant(
    _ system: HippoSystem,
    _ method: DiscretizationMethod,
    step: Double,
    padded: Int
  ) throws(TesseraError) -> Kernel {
    try StepLengths.one(step).check()
    if case .generalizedBilinear(let weight) = method, weight < 0.5, !system.measure.isDiagonal {
      // What discretize compares, so that both refuse the same steps.
      let dense = try DenseSystem(StateSpaceFile(system, isDecomposed: false))
      try method.check(step: step, against: LinearAlgebra.eigenvalues(dense.a))
    }
    if system.measure.isDiagonal { return try diagonal(system, method, step: step) }
    if system.measure.isComplex { return try complex(system, method, step: step, padded: padded) }
    let paper = try HippoSystem(
      system.measure == .lmu ? .legt : system.measure,
      order: system.order,
      window: system.window,
      tilt: system.tilt
    )
    let (a, b) = try paper.matrices()
    if case .generalizedBilinear(let weight) = method {
      if let structure = SemiseparableMatrix(paper) {
        return sweeps(structure, b, weight: weight, step: step)
      }
      if weight > 0, paper.measure == .fout { return fourier(paper, weight: weight, step: step) }
    }
    let column = Matrix(rows: system.order, columns: 1, elements: b)
    let pair = try method(a, column, step: step)
    return dense(pair.a, pair.b.elements, padded: padded)
  }

  /// x' = (I - λA)^-1 [(I + μA) x + dt B u], where I + μA = -(μ/λ)(I - λA) + (1 + μ/λ) I.
  private static func sweeps(
    _ matrix: SemiseparableMatrix,
    _ b: [Double],
    weight: Double,
    step: Double
  ) -> Kernel {
    let input = b.map { step * $0 }
    let none = DoubleStorage(zeros: b.count)
    guard weight > 0 else {
      let operation = SweepOperator(explicit: step, matrix)
      return .sweeps(operation, keep: 0, take: 1, input: none, after: DoubleStorage(input))
    }
    let ratio = (1 - weight) / weight
    return .sweeps(
      SweepOperator(implicit: weight * step, matrix),
      keep: -ratio,
      take: 1 + ratio,
      input: DoubleStorage(input),
      after: none
    )
  }

  /// The same for FouT: pairs turn, and the ends of the window are a product of rank 1.
  private static func fourier(_ system: HippoSystem, weight: Double, step: Double) -> Kernel {
    let implicit = weight * step
    let ends = HippoSystem.fourierEnds(system.order)
    var (cosines, sines): ([Double], [Double]) = ([], [])
    for pair in 0..<system.order / 2 {
      let angle = implicit * 2 * .pi * Double(pair) / system.window
      cosines.append(1 / (1 + angle * angle))
      sines.append(angle / (1 + angle * angle))
    }
    func turned(_ vector: [Double]) -> [Double] {
      (0..<system.order).map { n in
        let (c, s) = (cosines[n / 2], sines[n / 2])
        return n % 2 == 0 ? c * vector[n] - s * vector[n + 1] : s * vector[n - 1] + c * vector[n]
      }
    }
    let strength = 2 * implicit / system.window
    let turnedEnds = turned(ends)
    let overlap = zip(ends, turnedEnds).reduce(0) { $0 + $1.0 * $1.1 }
    let ratio = (1 - weight) / weight
    return .rotation(
      Rotation(
        cosines: DoubleStorage(cosines),
        sines: DoubleStorage(sines),
        input: DoubleStorage(turned(ends.map { step * 2 * $0 / system.window })),
        ends: DoubleStorage(ends),
        gains: DoubleStorage(turnedEnds.map { strength / (1 + strength * overlap) * $0 }),
        keep: -ratio,
        take: 1 + ratio
      )
    )
  }

  private static func diagonal(
    _ system: HippoSystem,
    _ method: DiscretizationMethod,
    step: Double
  ) throws(TesseraError) -> Kernel {
    let values = try system.diagonal()
    try method.check(step: step, against: values)
    let pairs = values.map { method($0, step: step) }
    let none = DoubleStorage(zeros: system.order)
    return .rotation(
      Rotation(
        cosines: DoubleStorage(pairs.map(\.a.real)),
        sines: DoubleStorage(pairs.map(\.a.imaginary)),
        input: DoubleStorage(pairs.flatMap { [$0.inputFactor.real, $0.inputFactor.imaginary] }),
        ends: none,
        gains: none,
        keep: 0,
        take: 1
      )
    )
  }

  private static func complex(
    _ system: HippoSystem,
    _ method: DiscretizationMethod,
    step: Double,
    padded: Int
  ) throws(TesseraError) -> Kernel {
    let (a, b) = try system.complexMatrices()
    // Real and imaginary parts alternate, as states are stored.
    let order = system.order
    let blocks = Matrix(order: 2 * order) { row, column in
      let value = a[row / 2, column / 2]
      if row % 2 == column % 2 { return value.real }
      return row % 2 == 0 ? -value.imaginary : value.imaginary
    }
    let column = Matrix(
      rows: 2 * order,
      columns: 1,
      elements: b.flatMap { [$0.real, $0.imaginary] }
    )
    let pair = try method(blocks, column, step: step)
    return dense(pair.a, pair.b.elements, padded: padded)
  }

  private static func dense(_ a: Matrix, _ b: [Double], padded: Int) -> Kernel {
    var columns: [Double] = []
    for column in 0..<a.columns {
      columns += (0..<padded).map { $0 < a.rows ? a[$0, column] : 0 }
    }
    return .dense(
      columns: DoubleStorage(columns),
      input: DoubleStorage(b + Array(repeating: 0, count: padded - b.count))
    )
  }
}
