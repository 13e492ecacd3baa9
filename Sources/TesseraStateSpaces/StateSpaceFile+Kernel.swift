import CKernels
package import TesseraCore

extension StateSpaceFile {
  /// The longest kernel.
  private static let longestKernel = 1 << 26

  /// How the matrices of discrete time are found.
  package enum Discrete: Hashable, Sendable {
    /// As the file holds them.
    case stored
    /// By discretising.
    case made(DiscretizationMethod, StepLengths)
  }

  /// What a file and a user's options say of discrete time.
  ///
  /// - Returns: `stored` where no method is given and the file has A_bar and B_bar; else the method
  ///   with the steps given, or those in the file.
  /// - Throws: `TesseraError` where one is missing.
  package func discrete(
    method: DiscretizationMethod?,
    steps: StepLengths?
  ) throws(TesseraError) -> Discrete {
    guard let method else {
      guard arrays["A_bar"] != nil, arrays["B_bar"] != nil, steps == nil else {
        throw .mismatch("no A_bar and B_bar are stored; say --method and --dt")
      }
      return .stored
    }
    if let steps {
      try steps.check()
      return .made(method, steps)
    }
    guard let steps = try storedSteps() else { throw .mismatch("no dt is stored; say --dt") }
    try steps.check()
    return .made(method, steps)
  }

  /// The convolution kernel K[l] = C Ā^l B̄ for l below `length`.
  ///
  /// Dense systems without C yield each state's response, `[length, N]`; diagonal and low-rank ones
  /// are summed, 2 Re Σ B̄ Ā^l. D is no part of a kernel; ``unused(besides:)`` names it.
  ///
  /// - Parameters:
  ///   - discrete: Where Ā and B̄ come from.
  ///   - length: The number of samples.
  ///   - structure: What the arrays are.
  /// - Returns: `[length]`, with leading channels `[channels, length]`, and `[outputs, channels, length]` where a
  ///   diagonal or low-rank system's C has several rows per channel.
  /// - Throws: `TesseraError` where shapes do not fit or a value overflows.
  package func kernel(
    _ discrete: Discrete,
    length: Int,
    structure: Structure
  ) throws(TesseraError) -> StateSpaceArray {
    guard (1...StateSpaceFile.longestKernel).contains(length) else {
      throw .limit("a kernel of length \(length) is not from 1 to \(StateSpaceFile.longestKernel)")
    }
    let kernel =
      switch structure {
      case .dense: try denseKernel(discrete, length: length)
      case .diagonal: try diagonalKernel(discrete, length: length)
      case .dplr: try lowRankKernel(discrete, length: length)
      }
    if let bad = kernel.values.firstIndex(where: { !$0.isFinite }) {
      throw .limit("element \(bad) of the kernel is \(kernel.values[bad]): the system explodes")
    }
    return kernel
  }

  fileprivate static func checkSize(_ extents: Int...) throws(TesseraError) {
    var total = 1
    for extent in extents {
      let (count, overflow) = total.multipliedReportingOverflow(by: extent)
      guard !overflow, count <= 1 << 27 else {
        throw .limit(
          "kernels of the shape \(extents) have more than \(1 << 27) elements; ask for fewer"
        )
      }
      total = count
    }
  }
}

// MARK: Dense

extension StateSpaceFile {
  private func denseKernel(
    _ discrete: Discrete,
    length: Int
  ) throws(TesseraError) -> StateSpaceArray {
    let (pairs, leading, order, isComplex) = try densePairs(discrete)
    guard let output = arrays["C"] else {
      try StateSpaceFile.checkSize(pairs.count * order, length)
      var values: [Double] = []
      for pair in pairs {
        let states = StateSpaceFile.krylov(pair.a, pair.b, count: length).transposed
        values += isComplex ? StateSpaceFile.interleaved(states) : states.elements
      }
      let shape = leading + [length, order]
      return StateSpaceArray(values: values, shape: shape, isComplex: isComplex)
    }
    guard output.shape.last == order, output.shape.count <= 2 else {
      throw .mismatch(
        "C has the shape \(output.storedShape): [\(order)] or [channels, \(order)] was expected"
      )
    }
    guard isComplex || !output.isComplex else {
      throw .mismatch("C is complex, and A and B are real: store all three as complex numbers")
    }
    let rows = output.shape.count == 2 ? output.shape[0] : 1
    guard leading.isEmpty || rows == 1 || [rows] == leading else {
      throw .mismatch("C has \(rows) channels, and dt \(pairs.count)")
    }
    try StateSpaceFile.checkSize(max(rows, pairs.count), length)
    let c = ComplexMatrix(rows: rows, columns: order, elements: output.complexValues)
    var values: [Double] = []
    for (channel, pair) in pairs.enumerated() {
      for row in leading.isEmpty ? 0..<rows : (rows == 1 ? 0..<1 : channel..<channel + 1) {
        let row = ComplexMatrix(rows: 1, columns: order) { c[row, $1] }
        let blocks =
          isComplex
          ? row.realBlocks : Matrix(rows: 1, columns: order, elements: row.elements.map(\.real))
        let responses = StateSpaceFile.response(blocks, pair.a, pair.b, length: length)
        values += isComplex ? StateSpaceFile.interleaved(responses.transposed) : responses.elements
      }
    }
    let shape = (leading.isEmpty ? (output.shape.count == 2 ? [rows] : []) : leading) + [length]
    return StateSpaceArray(values: values, shape: shape, isComplex: isComplex)
  }

  /// Ā and B̄ of each channel, in real blocks where they are complex.
  private func densePairs(
    _ discrete: Discrete
  ) throws(TesseraError) -> (
    pairs: [(a: Matrix, b: [Double])], leading: [Int], order: Int, isComplex: Bool
  ) {
    let system = try DenseSystem(self)
    guard system.inputShape.reduce(1, *) == 1 else {
      throw .mismatch("B has \(system.inputShape.reduce(1, *)) inputs, and a kernel has 1")
    }
    var file = self
    if case .made(let method, let steps) = discrete {
      file = try discretized(by: method, steps: steps, structure: .dense)
    }
    let (a, b) = (try file.array("A_bar"), try file.array("B_bar"))
    let order = system.order
    let leading = Array(a.shape.dropLast(2))
    guard a.shape.suffix(2) == [order, order], leading.count <= 1,
      b.shape == leading + [order] + system.inputShape
    else { throw .mismatch("A_bar \(a.storedShape) and B_bar \(b.storedShape) do not fit A") }
    guard system.isComplex || (!a.isComplex && !b.isComplex) else {
      throw .mismatch("A_bar or B_bar is complex, and A and B are real")
    }
    let pairs = (0..<leading.reduce(1, *)).map { channel in
      let size = order * order
      let matrix = ComplexMatrix(
        rows: order,
        columns: order,
        elements: Array(a.complexValues[channel * size..<(channel + 1) * size])
      )
      let column = Array(b.complexValues[channel * order..<(channel + 1) * order])
      guard system.isComplex else {
        return (
          a: Matrix(rows: order, columns: order, elements: matrix.elements.map(\.real)),
          b: column.map(\.real)
        )
      }
      return (a: matrix.realBlocks, b: column.map(\.real) + column.map(\.imaginary))
    }
    return (pairs, leading, order, system.isComplex)
  }

  /// The columns b, A b, A² b, …, by doubling.
  static func krylov(_ a: Matrix, _ b: [Double], count: Int) -> Matrix {
    var columns = [b]
    var power = a
    while columns.count < count {
      let present = columns
      let missing = min(present.count, count - present.count)
      let block = Matrix(
        rows: missing,
        columns: b.count,
        elements: present[..<missing].flatMap(\.self)
      )
      let moved = LinearAlgebra.product(power, block.transposed).transposed
      for row in 0..<missing {
        columns.append(Array(moved.elements[row * b.count..<(row + 1) * b.count]))
      }
      if columns.count < count { power = LinearAlgebra.product(power, power) }
    }
    return Matrix(rows: count, columns: b.count, elements: columns.flatMap(\.self)).transposed
  }

  /// C Ā^l B̄ for each row of C: with l = m j + i, a product of two short sequences.
  private static func response(_ c: Matrix, _ a: Matrix, _ b: [Double], length: Int) -> Matrix {
    var small = 1
    while small * small < length { small *= 2 }
    let right = krylov(a, b, count: small)
    var power = a
    for _ in 0..<small.trailingZeroBitCount { power = LinearAlgebra.product(power, power) }
    let blocks = (length + small - 1) / small
    var values: [Double] = []
    for row in 0..<c.rows {
      let start = Array(c.elements[row * c.columns..<(row + 1) * c.columns])
      let left = krylov(power.transposed, start, count: blocks).transposed
      values += LinearAlgebra.product(left, right).elements.prefix(length)
    }
    return Matrix(rows: c.rows, columns: length, elements: values)
  }

  /// Columns of real parts and then of imaginary ones, as pairs.
  private static func interleaved(_ matrix: Matrix) -> [Double] {
    let half = matrix.columns / 2
    return (0..<matrix.rows).flatMap { row in
      (0..<half).flatMap { [matrix[row, $0], matrix[row, half + $0]] }
    }
  }
}

// MARK: Diagonal and low rank

extension StateSpaceFile {
  private func diagonalKernel(
    _ discrete: Discrete,
    length: Int
  ) throws(TesseraError) -> StateSpaceArray {
    var file = self
    var channels: Int?
    if case .made(let method, let steps) = discrete {
      file = try discretized(by: method, steps: steps, structure: .diagonal)
      channels = steps.shape.first
    }
    let system = try DiagonalSystem(file, channels: channels, isDiscrete: true)
    guard arrays["Lambda"].map({ $0.shape.last == system.modes }) ?? true else {
      throw .mismatch("A_bar has \(system.modes) modes, and Lambda others")
    }
    try StateSpaceFile.checkSize(system.outputCount, system.channels, length)
    let kernels = DoubleStorage(zeros: system.outputCount * system.channels * length)
    let scratch = DoubleStorage(zeros: ckernels_vandermonde_scratch(system.modes, length))
    let ones = Array(repeating: ComplexNumber.one, count: system.modes)
    for row in 0..<system.outputCount * system.channels {
      let (output, channel) = row.quotientAndRemainder(dividingBy: system.channels)
      let c = system.c(channel, output: output) ?? ones
      let weights = zip(c, system.b(channel)).map { $0 * $1 }
      let values = DoubleStorage(system.lambda(channel).flatMap { [$0.real, $0.imaginary] })
      let factors = DoubleStorage(weights.flatMap { [$0.real, $0.imaginary] })
      unsafe ckernels_vandermonde(
        KernelInstructionSet.best,
        system.modes,
        length,
        values.pointer,
        factors.pointer,
        kernels.pointer + row * length,
        scratch.pointer
      )
    }
    return StateSpaceArray(
      kernels.values,
      shape: system.outputShape + system.leadingShape + [length]
    )
  }

  private func lowRankKernel(
    _ discrete: Discrete,
    length: Int
  ) throws(TesseraError) -> StateSpaceArray {
    guard case .made(let method, let steps) = discrete else {
      throw .mismatch("a low-rank kernel is made from Lambda and P; say --method bilinear")
    }
    let system = try LowRankSystem(self, channels: steps.shape.first)
    guard try truncation() == 0 else {
      throw .mismatch(
        "l_kernel is \(try truncation()): C is stored as C (I - A_bar^L); undo it "
          + "first with 'ssm rate --factor 1'"
      )
    }
    guard case .generalizedBilinear(let weight) = method else {
      throw .mismatch("zoh of a low-rank system is dense; use bilinear, as S4 does")
    }
    try StateSpaceFile.checkSize(system.outputCount, system.channels, length)
    var kernels = [[Double]](repeating: [], count: system.outputCount)
    for channel in 0..<system.channels {
      let step = steps.values.count == 1 ? steps.values[0] : steps.values[channel]
      if weight < 0.5 {
        try method.check(step: step, against: LinearAlgebra.eigen(system.matrix(channel)).values)
      }
      let recurrence = try LowRankRecurrence(system, channel, weight: weight, step: step)
      for (output, kernel) in recurrence.kernels(length: length).enumerated() {
        kernels[output] += kernel
      }
    }
    return StateSpaceArray(
      kernels.flatMap(\.self),
      shape: system.outputShape + system.leadingShape + [length]
    )
  }
}
