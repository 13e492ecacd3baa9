extension StateSpaceCheck {
  /// The samples over which recurrence and kernel are compared.
  private static let sampleCount = 64

  /// Steps a signal through the first channel of a system, and convolves it with the kernel.
  ///
  /// - Returns: nil where no kernel exists: LegS at one K, or C that is truncated.
  /// - Throws: `StateSpaceError` where shapes do not fit.
  static func recurrence(
    _ file: StateSpaceFile,
    _ structure: StateSpaceFile.Structure,
    size: Double
  ) throws(StateSpaceError) -> Recurrence? {
    guard file.metadata[StateSpaceFile.Key.legsStep] == nil,
      file.arrays["l_kernel"]?.values.first ?? 0 == 0
    else { return nil }
    let named = file.metadata[StateSpaceFile.Key.method].flatMap { DiscretizationMethod(name: $0) }
    let rule = structure == .dplr ? .bilinear : named ?? .bilinear
    let stored = file.arrays["dt"].flatMap { $0.isComplex ? nil : $0.values.first }
    // Where there is none: the step in which the fastest mode turns or fades by one e-fold.
    let step = stored ?? 1 / max(1, size)
    guard let single = try firstChannel(of: file, structure) else { return nil }
    let discrete = try single.discretized(by: rule, steps: .one(step), structure: structure)
    let kernel = try single.kernel(
      .made(rule, .one(step)),
      length: sampleCount,
      structure: structure
    ).complexValues.map(\.real)
    let signal = signal()
    let outputs = try outputs(of: discrete, structure, signal)
    var (difference, largest) = (0.0, 0.0)
    for (index, output) in outputs.enumerated() {
      var sum = 0.0
      for past in 0...index { sum += kernel[past] * signal[index - past] }
      difference = max(difference, abs(sum - output))
      largest = max(largest, abs(output))
    }
    return Recurrence(
      method: rule.name,
      dt: step,
      difference: largest > 0 ? difference / largest : difference
    )
  }

  /// The first channel alone, with the first output; ones where the file has none.
  private static func firstChannel(
    of file: StateSpaceFile,
    _ structure: StateSpaceFile.Structure
  ) throws(StateSpaceError) -> StateSpaceFile? {
    var single = StateSpaceFile(arrays: [:], metadata: [:])
    switch structure {
    case .dense:
      let system = try DenseSystem(file)
      guard system.inputShape.reduce(1, *) == 1 else { return nil }
      single.arrays["A"] = file.arrays["A"]
      single.arrays["B"] = file.arrays["B"]
      let order = system.order
      var row = [ComplexNumber](repeating: .one, count: order)
      if let c = file.arrays["C"], c.complexValues.count >= order {
        row = Array(c.complexValues.prefix(order))
      }
      single.arrays["C"] =
        system.isComplex
        ? StateSpaceArray(row, shape: [order]) : StateSpaceArray(row.map(\.real), shape: [order])
    case .diagonal:
      let system = try DiagonalSystem(file)
      let modes = system.modes
      let ones = [ComplexNumber](repeating: .one, count: modes)
      single.arrays["Lambda"] = StateSpaceArray(system.lambda(0), shape: [modes])
      single.arrays["B"] = StateSpaceArray(system.b(0), shape: [modes])
      single.arrays["C"] = StateSpaceArray(system.c(0) ?? ones, shape: [modes])
    case .dplr:
      let system = try LowRankSystem(file)
      let modes = system.modes
      let ones = [ComplexNumber](repeating: .one, count: modes)
      single.arrays["Lambda"] = StateSpaceArray(system.lambda(0), shape: [modes])
      single.arrays["B"] = StateSpaceArray(system.b(0), shape: [modes])
      single.arrays["C"] = StateSpaceArray(system.c(0) ?? ones, shape: [modes])
      single.arrays["P"] = StateSpaceArray(
        system.p(0).flatMap(\.self),
        shape: [system.ranks, modes]
      )
    }
    return single
  }

  /// y[k] of x[k] = Ā x[k-1] + B̄ u[k].
  private static func outputs(
    of file: StateSpaceFile,
    _ structure: StateSpaceFile.Structure,
    _ signal: [Double]
  ) throws(StateSpaceError) -> [Double] {
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
