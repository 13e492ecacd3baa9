package import TesseraCore

extension StateSpaceFile {
  /// The file for a signal with `factor` times the time between samples.
  ///
  /// S4 stores C (I - Ā^L) for the length it was trained with; that C̃ belongs to the old step, so it
  /// is undone first. Where the file holds A_bar and B_bar they are made anew.
  ///
  /// - Parameters:
  ///   - factor: 2 halves the sampling frequency; 1 only undoes C̃.
  ///   - structure: What the arrays are.
  /// - Returns: The file, with `l_kernel` 0.
  /// - Throws: `TesseraError` where there is no dt, or I - Ā^L is singular.
  package func resampled(
    by factor: Double,
    structure: Structure
  ) throws(TesseraError) -> StateSpaceFile {
    guard factor > 0, factor.isFinite else {
      throw .limit("the factor \(factor) is not a finite number above 0")
    }
    guard let dt = arrays["dt"], let steps = try storedSteps() else {
      throw .mismatch("no dt is stored: a system in continuous time has no sampling rate to change")
    }
    try steps.check()
    var result = self
    if structure == .dplr { try result.undoTruncation(steps) }
    let moved = dt.values.map { $0 * factor }
    result.arrays["dt"] = StateSpaceArray(moved, shape: dt.shape)
    if dt.shape.isEmpty { result.metadata[Key.step] = "\(moved[0])" }
    guard arrays["A_bar"] != nil else { return result }
    guard let method = metadata[Key.method].flatMap({ DiscretizationMethod(name: $0) }) else {
      throw .mismatch(
        "A_bar is stored, and the metadata's \(Key.method) does not say by which rule"
      )
    }
    let longer: StepLengths = dt.shape.isEmpty ? .one(moved[0]) : .channels(moved)
    return try result.discretized(by: method, steps: longer, structure: structure)
  }

  /// Turns C (I - Ā^L) back into C, and sets L to 0.
  private mutating func undoTruncation(_ steps: StepLengths) throws(TesseraError) {
    let length = try truncation()
    guard length > 0 else { return }
    let c = try array("C")
    let system = try LowRankSystem(self, channels: steps.shape.first)
    var rows = [[ComplexNumber]](repeating: [], count: system.outputCount)
    for channel in 0..<system.channels {
      let restored = try SamplingRate.untruncated(
        rows.indices.map { system.c(channel, output: $0) ?? [] },
        matrix: system.matrix(channel),
        step: steps.values.count == 1 ? steps.values[0] : steps.values[channel],
        length: length
      )
      for (output, row) in restored.enumerated() { rows[output] += row }
    }
    let values = rows.flatMap(\.self)
    let shape = values.count == c.complexValues.count ? c.shape : [system.channels, system.modes]
    arrays["C"] = StateSpaceArray(values, shape: shape)
    arrays["l_kernel"] = StateSpaceArray([0], shape: arrays["l_kernel"]?.shape ?? [])
  }
}

/// The change of C that S4 makes for the length of its training.
enum SamplingRate {
  /// The rows of C from those of C̃ = C (I - Ā^L), Ā bilinear, over both conjugate halves.
  ///
  /// - Throws: `TesseraError` where I - Ā^L is singular, as for a mode that does not decay.
  static func untruncated(
    _ rows: [[ComplexNumber]],
    matrix: ComplexMatrix,
    step: Double,
    length: Int
  ) throws(TesseraError) -> [[ComplexNumber]] {
    let order = matrix.rows
    let half = step / 2
    let implicit = ComplexMatrix(rows: order, columns: order) { row, column in
      (row == column ? .one : .zero) - half * matrix[row, column]
    }
    let explicit = ComplexMatrix(rows: order, columns: order) { row, column in
      (row == column ? .one : .zero) + half * matrix[row, column]
    }
    var square = try LinearAlgebra.solve(implicit, explicit)
    var power = ComplexMatrix(rows: order, columns: order) { $0 == $1 ? .one : .zero }
    var rest = length
    while rest > 0 {
      if rest & 1 == 1 { power = LinearAlgebra.product(power, square) }
      rest >>= 1
      if rest > 0 { square = LinearAlgebra.product(square, square) }
    }
    let remaining = ComplexMatrix(rows: order, columns: order) { row, column in
      (row == column ? .one : .zero) - power[column, row]
    }
    let columns = ComplexMatrix(rows: order, columns: rows.count) { row, column in
      row < order / 2 ? rows[column][row] : rows[column][row - order / 2].conjugate
    }
    let solved = try LinearAlgebra.solve(remaining, columns)
    return rows.indices.map { column in (0..<order / 2).map { solved[$0, column] } }
  }
}
