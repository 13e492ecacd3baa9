package import TesseraCore

/// The lengths of a step: one for all, or one per channel.
package enum StepLengths: Hashable, Sendable {
  /// One for all.
  case one(Double)
  /// One a channel.
  case channels([Double])

  /// The lengths in a list.
  package var values: [Double] {
    switch self {
    case .one(let step): [step]
    case .channels(let steps): steps
    }
  }

  /// The leading extents of results.
  var shape: [Int] {
    switch self {
    case .one: []
    case .channels(let steps): [steps.count]
    }
  }

  /// Refuses lengths that are none.
  ///
  /// - Throws: `TesseraError` with the number.
  package func check() throws(TesseraError) {
    for (channel, step) in values.enumerated() where !(step > 0 && step.isFinite) {
      let place = self == .one(step) ? "dt" : "dt[\(channel)]"
      throw .limit("\(place) is \(step), and a step is a finite time above 0")
    }
    if values.isEmpty { throw .mismatch("dt has 0 channels") }
  }
}

extension StateSpaceFile {
  /// The most elements that a result may have: 1 GiB.
  private static let elementLimit = 1 << 27

  /// The file with `A_bar`, `B_bar` and `dt` beside what it holds.
  ///
  /// - Parameters:
  ///   - method: How to discretise.
  ///   - steps: One step, or one per channel.
  ///   - structure: What the arrays are.
  /// - Returns: The file with the results.
  /// - Throws: `TesseraError`.
  package func discretized(
    by method: DiscretizationMethod,
    steps: StepLengths,
    structure: Structure
  ) throws(TesseraError) -> StateSpaceFile {
    try steps.check()
    var result = self
    switch structure {
    case .dense: try discretizeDense(into: &result, method, steps)
    case .diagonal: try discretizeDiagonal(into: &result, method, steps)
    case .dplr:
      let full = try LowRankSystem(self).dense(channel: nil)
      try full.discretizeDense(into: &result, method, steps)
    }
    result.arrays["dt"] = StateSpaceArray(steps.values, shape: steps.shape)
    result.metadata[Key.system] = structure.rawValue
    result.metadata[Key.method] = method.name
    result.metadata[Key.equation] = "x' = A x + B u; x[k+1] = A_bar x[k] + B_bar u[k]"
    if case .one(let step) = steps { result.metadata[Key.step] = "\(step)" }
    return result
  }

  private func discretizeDense(
    into result: inout StateSpaceFile,
    _ method: DiscretizationMethod,
    _ steps: StepLengths
  ) throws(TesseraError) {
    let system = try DenseSystem(self)
    let order = system.order
    try check(elements: [steps.values.count, order, order])
    try check(elements: [steps.values.count, order, system.b.columns])
    if case .generalizedBilinear(let weight) = method, weight < 0.5 {
      let eigenvalues = try LinearAlgebra.eigenvalues(system.a)
      for step in steps.values { try method.check(step: step, against: eigenvalues) }
    }
    var (a, b): ([Matrix], [Matrix]) = ([], [])
    for step in steps.values {
      let pair = try method(system.a, system.b, step: step)
      a.append(pair.a)
      b.append(pair.b)
    }
    result.arrays["A_bar"] = system.stored(a, shape: steps.shape + [order, order])
    result.arrays["B_bar"] = system.stored(b, shape: steps.shape + [order] + system.inputShape)
  }

  private func discretizeDiagonal(
    into result: inout StateSpaceFile,
    _ method: DiscretizationMethod,
    _ steps: StepLengths
  ) throws(TesseraError) {
    let system = try DiagonalSystem(self, channels: steps.shape.first)
    try check(elements: [system.channels, system.modes, 2])
    var (a, b): ([ComplexNumber], [ComplexNumber]) = ([], [])
    for channel in 0..<system.channels {
      let step = steps.values.count == 1 ? steps.values[0] : steps.values[channel]
      let values = system.lambda(channel)
      try method.check(step: step, against: values)
      for (value, input) in zip(values, system.b(channel)) {
        let pair = method(value, step: step)
        a.append(pair.a)
        b.append(pair.inputFactor * input)
      }
    }
    let shape = system.leadingShape + [system.modes]
    result.arrays["A_bar"] = StateSpaceArray(a, shape: shape)
    result.arrays["B_bar"] = StateSpaceArray(b, shape: shape)
  }

  private func check(elements shape: [Int]) throws(TesseraError) {
    var count = 1
    for extent in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow, product <= StateSpaceFile.elementLimit else {
        throw .limit(
          "a result of shape \(shape) has more than \(StateSpaceFile.elementLimit) elements; "
            + "discretise fewer channels at once"
        )
      }
      count = product
    }
  }
}
