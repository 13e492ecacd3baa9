import CKernels

/// The states of a system after each sample of a signal, a block of samples at a time.
///
/// O(N) a step for LegS in every convention, for legs, legt, lmu, fout and lagt by backward Euler,
/// bilinear and GBT rules, and for diagonal systems; `zoh` of the others multiplies by a dense Ā.
public final class SignalEncoder {
  /// How the state is stepped.
  public enum Stepping: Hashable, Sendable {
    /// Constant coefficients.
    case constant(DiscretizationMethod, step: Double)
    /// LegS with its factor 1/t.
    case legs(LegsConvention)
  }

  private enum Kernel {
    case legs(ckernels_legs_convention, exactSteps: UInt64)
    case sweeps(
      SweepOperator,
      keep: Double,
      take: Double,
      input: DoubleStorage,
      after: DoubleStorage
    )
    case rotation(Rotation)
    case dense(columns: DoubleStorage, input: DoubleStorage)
  }

  /// Pairs of states that turn, minus a product of rank 1.
  private struct Rotation {
    let cosines, sines, input, ends, gains: DoubleStorage
    let keep, take: Double
  }

  /// The extents of one channel's state: [N], or [modes, 2].
  public let stateShape: [Int]
  /// The channels of the signal.
  public let channels: Int
  private let system: HippoSystem
  private let kernel: Kernel
  private let doubles: Int
  private let padded: Int
  private let scales: DoubleStorage
  private let norms: DoubleStorage
  private let scratch: DoubleStorage
  private let states: [DoubleStorage]
  /// The samples seen.
  public private(set) var seen = 0

  /// Prepares the steps of a system.
  ///
  /// - Parameters:
  ///   - system: The measure.
  ///   - stepping: How to step it.
  ///   - channels: The signals that are encoded side by side.
  /// - Throws: `StateSpaceError` where the system cannot be stepped so.
  public init(
    _ system: HippoSystem,
    stepping: Stepping,
    channels: Int
  ) throws(StateSpaceError) {
    self.system = system
    self.channels = channels
    let isPaired = system.measure.isComplex
    doubles = isPaired ? 2 * system.order : system.order
    padded = (doubles + 7) / 8 * 8
    stateShape =
      isPaired
      ? [system.order, 2] : system.measure.isDiagonal ? [system.order / 2, 2] : [system.order]
    scales = DoubleStorage(SignalEncoder.scales(of: system, count: doubles))
    norms = DoubleStorage((0..<system.order).map(HippoSystem.norm))
    scratch = DoubleStorage(zeros: 2 * (padded + 8))
    let padded = padded
    states = (0..<channels).map { _ in DoubleStorage(zeros: padded) }
    switch stepping {
    case .legs(let convention): kernel = try SignalEncoder.legs(system, convention)
    case .constant(let method, let step):
      kernel = try SignalEncoder.constant(system, method, step: step, padded: padded)
    }
  }

  /// What a state in orthonormal scaling is multiplied with in a form.
  private static func scales(of system: HippoSystem, count: Int) -> [Double] {
    (0..<count).map { n in
      switch system.measure == .lmu ? .lmu : system.form {
      case .paper: 1
      case .blog: system.measure.isComplex ? 1 : 2.0.squareRoot()
      case .integer: HippoSystem.norm(n)
      case .lmu: n % 2 == 0 ? HippoSystem.norm(n) : -HippoSystem.norm(n)
      }
    }
  }

  private static func legs(
    _ system: HippoSystem,
    _ convention: LegsConvention
  ) throws(StateSpaceError) -> Kernel {
    guard system.measure == .legs else {
      throw .mismatch(
        "conventions of the factor 1/t are defined for legs, not for \(system.measure.rawValue); say "
          + "--method and --dt"
      )
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

  private static func constant(
    _ system: HippoSystem,
    _ method: DiscretizationMethod,
    step: Double,
    padded: Int
  ) throws(StateSpaceError) -> Kernel {
    try StepLengths.one(step).check()
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
      if weight < 0.5 { try method.check(step: step, against: LinearAlgebra.eigenvalues(a)) }
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
  ) throws(StateSpaceError) -> Kernel {
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
  ) throws(StateSpaceError) -> Kernel {
    let (a, b) = try system.complexMatrices()
    if case .generalizedBilinear(let weight) = method, weight < 0.5 {
      try method.check(step: step, against: LinearAlgebra.eigen(a).values)
    }
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

extension SignalEncoder {
  /// The doubles of a row: every channel's state.
  public var rowCount: Int { channels * stateShape.reduce(1, *) }

  /// Encodes the next samples.
  ///
  /// - Parameters:
  ///   - samples: `[count, channels]`, row-major.
  ///   - every: A row is due after each sample whose number, from 1 on, is a multiple of this.
  /// - Returns: The rows that are due, `[rows, channels, state]`.
  /// - Throws: `StateSpaceError` for a sample or a state that is not finite.
  public func encode(_ samples: [Double], every: Int) throws(StateSpaceError) -> [Double] {
    if let bad = samples.firstIndex(where: { !$0.isFinite }) {
      throw .limit("sample \(seen + bad / channels) is \(samples[bad])")
    }
    let count = samples.count / channels
    let due = (seen + count) / every - seen / every
    let rows = DoubleStorage(zeros: due * rowCount)
    let source = DoubleStorage(samples)
    var done = 0
    if case .legs(_, let exact) = kernel, exact > 0 {
      // These steps have matrices of their own; they are few.
      while done < count, seen + done < Int(exact) {
        exactStep(samples, at: done, every: every, into: rows)
        done += 1
      }
    }
    if done < count {
      for channel in 0..<channels {
        step(source, from: done, count: count - done, channel, every: every, into: rows)
      }
    }
    seen += count
    let values = rows.values
    guard values.allSatisfy(\.isFinite) else {
      throw .limit("a state overflows before sample \(seen); shorten the step or use zoh")
    }
    return values
  }

  /// The states after the last sample, as a row.
  public var lastRow: [Double] {
    let scales = scales.values
    return states.flatMap { state in
      zip(state.values.prefix(rowCount / channels), scales).map { $0 * $1 }
    }
  }

  private func exactStep(
    _ samples: [Double],
    at position: Int,
    every: Int,
    into rows: DoubleStorage
  ) {
    let number = seen + position
    let order = system.order
    let matrices = number == 0 ? nil : LegsStep.exactPaper(order: order, step: number)
    let scales = scales.values
    for channel in 0..<channels {
      let sample = samples[position * channels + channel]
      var next = [Double](repeating: 0, count: order)
      if let (a, b) = matrices {
        let state = states[channel].values
        for n in 0..<order {
          var sum = b[n] * sample
          for k in 0...n { sum.addProduct(a[n, k], state[k]) }
          next[n] = sum
        }
      } else {
        next[0] = sample
      }
      for n in 0..<order { unsafe states[channel].pointer[n] = next[n] }
      guard (number + 1) % every == 0 else { continue }
      let row = (number + 1) / every - 1 - seen / every
      let start = (row * channels + channel) * order
      for n in 0..<order { unsafe rows.pointer[start + n] = next[n] * scales[n] }
    }
  }

  private func step(
    _ source: DoubleStorage,
    from start: Int,
    count: Int,
    _ channel: Int,
    every: Int,
    into rows: DoubleStorage
  ) {
    let isa = KernelInstructionSet.best
    let signal = unsafe ckernels_signal(
      samples: source.pointer + start * channels + channel,
      stride: channels,
      count: count,
      first: UInt64(seen + start)
    )
    let before = (seen + start) / every - seen / every
    let target = unsafe ckernels_rows(
      rows: rows.pointer + before * rowCount + channel * (rowCount / channels),
      stride: rowCount,
      every: UInt64(every),
      scales: scales.pointer
    )
    let state = unsafe states[channel].pointer
    let work = unsafe scratch.pointer
    switch kernel {
    case .legs(let convention, _):
      unsafe ckernels_legs_steps(
        isa,
        convention,
        system.order,
        norms.pointer,
        work,
        signal,
        state,
        target
      )
    case .sweeps(let operation, let keep, let take, let input, let after):
      var sweeps = unsafe operation.sweeps
      unsafe ckernels_sweep_steps(
        isa,
        system.order,
        &sweeps,
        keep,
        take,
        input.pointer,
        after.pointer,
        work,
        signal,
        state,
        target
      )
    case .rotation(let r):
      unsafe ckernels_rotation_steps(
        isa,
        system.order,
        r.cosines.pointer,
        r.sines.pointer,
        r.keep,
        r.take,
        r.input.pointer,
        r.ends.pointer,
        r.gains.pointer,
        signal,
        state,
        target
      )
    case .dense(let columns, let input):
      unsafe ckernels_dense_steps(
        isa,
        doubles,
        padded,
        columns.pointer,
        input.pointer,
        work,
        signal,
        state,
        target
      )
    }
  }
}
