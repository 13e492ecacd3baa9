import TesseraCore

extension StateSpaceCheck {
  /// The samples over which recurrence and kernel are compared.
  private static let sampleCount = 64

  /// Steps a signal through every channel of a system to every output, and convolves it with the kernel.
  ///
  /// - Returns: nil where no kernel exists: LegS at one K, or C that is truncated.
  /// - Throws: `TesseraError` where shapes do not fit.
  static func recurrence(
    _ file: StateSpaceFile,
    _ structure: StateSpaceFile.Structure,
    size: Double
  ) throws(TesseraError) -> Recurrence? {
    guard file.metadata[StateSpaceFile.Key.legsStep] == nil, try file.truncation() == 0 else {
      return nil
    }
    let named = file.metadata[StateSpaceFile.Key.method].flatMap { DiscretizationMethod(name: $0) }
    let rule = structure == .dplr ? .bilinear : named ?? .bilinear
    // Where there is none: the step in which the fastest mode turns or fades by one e-fold.
    let steps = try file.storedSteps() ?? .one(1 / max(1, size))
    let signal = signal()
    var (difference, largest) = (0.0, 0.0)
    let systems =
      try structure == .dense
      ? denseSingles(of: file, steps) : singles(of: file, structure, steps)
    guard !systems.isEmpty else { return nil }
    for (system, step) in systems {
      let found = try differences(system, structure, rule, step, signal)
      difference = max(difference, found.difference)
      largest = max(largest, found.largest)
    }
    return Recurrence(
      method: rule.name,
      dt: steps.values[0],
      difference: largest > 0 ? difference / largest : difference
    )
  }

  /// The largest difference of one system's outputs, and the largest output.
  private static func differences(
    _ system: StateSpaceFile,
    _ structure: StateSpaceFile.Structure,
    _ rule: DiscretizationMethod,
    _ step: Double,
    _ signal: [Double]
  ) throws(TesseraError) -> (difference: Double, largest: Double) {
    let discrete = try system.discretized(by: rule, steps: .one(step), structure: structure)
    let kernel = try system.kernel(
      .made(rule, .one(step)),
      length: sampleCount,
      structure: structure
    ).complexValues.map(\.real)
    var (difference, largest) = (0.0, 0.0)
    for (index, output) in try outputs(of: discrete, structure, signal).enumerated() {
      var sum = 0.0
      for past in 0...index { sum += kernel[past] * signal[index - past] }
      difference = max(difference, abs(sum - output))
      largest = max(largest, abs(output))
    }
    return (difference, largest)
  }

  /// Each channel with each output of a diagonal or low-rank system as one of its own; C that is absent counts as ones.
  private static func singles(
    of file: StateSpaceFile,
    _ structure: StateSpaceFile.Structure,
    _ steps: StepLengths
  ) throws(TesseraError) -> [(system: StateSpaceFile, step: Double)] {
    let system = try DiagonalSystem(file, channels: steps.shape.first)
    let lowRank = structure == .dplr ? try LowRankSystem(file, channels: steps.shape.first) : nil
    let modes = system.modes
    let ones = [ComplexNumber](repeating: .one, count: modes)
    var systems: [(system: StateSpaceFile, step: Double)] = []
    for channel in 0..<system.channels {
      for output in 0..<system.outputCount {
        var single = StateSpaceFile(arrays: [:], metadata: [:])
        let c = system.c(channel, output: output) ?? ones
        single.arrays["Lambda"] = StateSpaceArray(system.lambda(channel), shape: [modes])
        single.arrays["B"] = StateSpaceArray(system.b(channel), shape: [modes])
        single.arrays["C"] = StateSpaceArray(c, shape: [modes])
        if let lowRank {
          let p = lowRank.p(channel).flatMap(\.self)
          single.arrays["P"] = StateSpaceArray(p, shape: [lowRank.ranks, modes])
        }
        systems.append((single, steps.values[steps.values.count == 1 ? 0 : channel]))
      }
    }
    return systems
  }

  /// The same of a dense system: a row of C, and a step, each.
  private static func denseSingles(
    of file: StateSpaceFile,
    _ steps: StepLengths
  ) throws(TesseraError) -> [(system: StateSpaceFile, step: Double)] {
    let system = try DenseSystem(file)
    guard system.inputShape.reduce(1, *) == 1 else { return [] }
    let order = system.order
    var rows = [[ComplexNumber](repeating: .one, count: order)]
    if let c = file.arrays["C"] {
      guard c.shape.last == order, c.shape.count <= 2 else {
        throw .mismatch(
          "C has the shape \(c.storedShape): [\(order)] or [channels, \(order)] was expected"
        )
      }
      let values = c.complexValues
      rows = stride(from: 0, to: values.count, by: order).map { Array(values[$0..<$0 + order]) }
    }
    return (0..<max(rows.count, steps.values.count)).map { index in
      let row = rows[min(index, rows.count - 1)]
      var single = StateSpaceFile(arrays: [:], metadata: [:])
      single.arrays["A"] = file.arrays["A"]
      single.arrays["B"] = file.arrays["B"]
      single.arrays["C"] =
        system.isComplex
        ? StateSpaceArray(row, shape: [order]) : StateSpaceArray(row.map(\.real), shape: [order])
      return (single, steps.values[min(index, steps.values.count - 1)])
    }
  }

  /// y[k] of x[k] = Ā x[k-1] + B̄ u[k].
  private static func outputs(
    of file: StateSpaceFile,
    _ structure: StateSpaceFile.Structure,
    _ signal: [Double]
  ) throws(TesseraError) -> [Double] {
    let a = try file.array("A_bar").complexValues
    let b = try file.array("B_bar").complexValues
    var c = try file.array("C").complexValues
    if structure == .dplr { c += c.map(\.conjugate) }
    let scale = structure == .diagonal ? 2.0 : 1
    var x = [ComplexNumber](repeating: .zero, count: b.count)
    return signal.map { sample in
      if structure == .diagonal {
        x = x.indices.map { a[$0] * x[$0] + sample * b[$0] }
      } else {
        let matrix = ComplexMatrix(rows: b.count, columns: b.count, elements: a)
        x = zip(matrix.times(x), b).map { $0 + sample * $1 }
      }
      return scale * zip(c, x).reduce(0) { $0 + ($1.0 * $1.1).real }
    }
  }

  /// A signal of numbers between -1 and 1, the same every time.
  private static func signal() -> [Double] {
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    return (0..<sampleCount).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) * 0x1p-52 - 1
    }
  }
}
