package import TesseraCore

extension StateSpaceFile {
  /// The file of a diagonal system with the same inputs and outputs.
  ///
  /// A = V diag(Λ) V^-1, B' = V^-1 B, C' = C V. Of each conjugate pair the number above the real axis
  /// is kept; a real eigenvalue has half its B', so that outputs are 2 Re of the sum.
  ///
  /// - Parameters:
  ///   - limit: The largest condition number of V.
  ///   - structure: What the arrays are: dense and real, or low rank.
  /// - Returns: Lambda, B, V and, where the file has it, C; the condition number and the residual
  ///   stand in the metadata.
  /// - Throws: `TesseraError` with the condition number above the limit, or where eigenvalues do
  ///   not pair.
  package func diagonalized(
    limit: Double,
    structure: Structure
  ) throws(TesseraError) -> StateSpaceFile {
    guard structure != .diagonal else { throw .mismatch("the system is diagonal already") }
    guard structure == .dplr || arrays["A"]?.isComplex != true else {
      throw .mismatch(
        "A is complex: its outputs are no 2 Re of one half, and the halves do not pair"
      )
    }
    if structure == .dplr {
      let length = try truncation()
      guard length == 0 else {
        throw .mismatch(
          "l_kernel is \(length): C is stored as C (I - A_bar^L); undo it first with 'ssm rate "
            + "--factor 1'"
        )
      }
      var full = try LowRankSystem(self).dense(channel: nil)
      for name in ["D", "dt"] { full.arrays[name] = arrays[name] }
      if let c = arrays["C"] {
        guard c.shape.count == 1 else {
          throw .mismatch("C has the shape \(c.storedShape); one channel was expected")
        }
        let half = c.complexValues
        full.arrays["C"] = StateSpaceArray(half + half.map(\.conjugate), shape: [2 * half.count])
      }
      full.unused = unused
      return try full.diagonalizedDense(limit: limit, keeping: metadata)
    }
    return try diagonalizedDense(limit: limit, keeping: metadata)
  }

  private func diagonalizedDense(
    limit: Double,
    keeping metadata: [String: String]
  ) throws(TesseraError) -> StateSpaceFile {
    let (matrix, column) = try denseInputs()
    let order = matrix.rows
    let (values, vectors) = try LinearAlgebra.eigen(matrix)
    let condition = try LinearAlgebra.condition(vectors)
    guard condition <= limit else {
      throw .limit(
        "the eigenvectors have the condition number \(condition), above the limit \(limit): about "
          + "\(Int(log10Bounded(condition))) of 16 digits would be lost; keep the dense or low-rank form"
      )
    }
    let kept = try Diagonalization.halves(of: values)
    let inputs = try LinearAlgebra.solve(vectors, column).elements
    var result = StateSpaceFile(arrays: [:], metadata: metadata)
    let count = kept.count
    result.arrays["Lambda"] = StateSpaceArray(kept.map { values[$0.index] }, shape: [count])
    result.arrays["B"] = StateSpaceArray(kept.map { $0.weight * inputs[$0.index] }, shape: [count])
    let columns = ComplexMatrix(rows: order, columns: count) { vectors[$0, kept[$1].index] }
    result.arrays["V"] = StateSpaceArray(columns.elements, shape: [order, count])
    result.arrays["C"] = try outputs(through: columns)
    for name in ["D", "dt"] { result.arrays[name] = arrays[name] }
    result.unused = unused
    let residual = Diagonalization.residual(matrix, values, vectors)
    result.describeDiagonal(condition: condition, residual: residual)
    return result
  }

  /// A and, as one column, B of a dense system.
  private func denseInputs() throws(TesseraError) -> (a: ComplexMatrix, b: ComplexMatrix) {
    let a = try array("A")
    guard a.shape.count == 2, a.shape[0] == a.shape[1], a.shape[0] > 0 else {
      throw .mismatch("A has the shape \(a.storedShape), and [N, N] was expected")
    }
    let order = a.shape[0]
    let b = try array("B")
    guard b.shape.first == order, b.complexValues.count == order else {
      throw .mismatch("B has the shape \(b.storedShape), and [\(order)] was expected")
    }
    return (
      ComplexMatrix(rows: order, columns: order, elements: a.complexValues),
      ComplexMatrix(rows: order, columns: 1, elements: b.complexValues)
    )
  }

  /// C times the eigenvectors that are kept; nil where the file has no C.
  private func outputs(
    through vectors: ComplexMatrix
  ) throws(TesseraError) -> StateSpaceArray? {
    guard let c = arrays["C"] else { return nil }
    guard c.shape.last == vectors.rows, c.shape.count <= 2 else {
      throw .mismatch("C has the shape \(c.storedShape), and [\(vectors.rows)] was expected")
    }
    let rows = c.complexValues.count / vectors.rows
    let outputs = LinearAlgebra.product(
      ComplexMatrix(rows: rows, columns: vectors.rows, elements: c.complexValues),
      vectors
    )
    return StateSpaceArray(outputs.elements, shape: c.shape.dropLast() + [vectors.columns])
  }

  /// Says what the arrays have become, and no longer what they were.
  private mutating func describeDiagonal(condition: Double, residual: Double) {
    metadata[Key.system] = Structure.diagonal.rawValue
    metadata[Key.halves] =
      "one of each conjugate pair, a real eigenvalue with half its B; y = 2 Re(C x)"
    metadata["tessera.ssm.condition"] = "\(condition)"
    metadata["tessera.ssm.residual"] = "\(residual)"
    for key in [Key.measure, Key.form, Key.lowRank, Key.method, Key.complex] {
      metadata[key] = nil
    }
  }

  private func log10Bounded(_ value: Double) -> Double { min(300, value.decimalDigits) }
}

/// Eigenvalues and what they say.
enum Diagonalization {
  /// One of each conjugate pair, above the real axis, and the real ones with the weight 1/2.
  static func halves(
    of values: [ComplexNumber]
  ) throws(TesseraError) -> [(index: Int, weight: Double)] {
    let size = values.map(\.magnitude).max() ?? 0
    let tolerance = max(size, 1e-300) * 1e-9
    var kept: [(index: Int, weight: Double)] = []
    var below = values.indices.filter { values[$0].imaginary < -tolerance }
    for index in values.indices where values[index].imaginary >= -tolerance {
      guard values[index].imaginary > tolerance else {
        kept.append((index, 0.5))
        continue
      }
      let mirror = values[index].conjugate
      let partner = below.indices.min {
        (values[below[$0]] - mirror).magnitude < (values[below[$1]] - mirror).magnitude
      }
      let distance = partner.map { (values[below[$0]] - mirror).magnitude } ?? .infinity
      guard let partner, distance <= 1e-6 * size else {
        throw .mismatch(
          "the eigenvalue \(values[index].real) + \(values[index].imaginary)i has no conjugate (the "
            + "nearest is \(distance) away): the halves do not pair"
        )
      }
      below.remove(at: partner)
      kept.append((index, 1))
    }
    guard below.isEmpty else {
      throw .mismatch("\(below.count) eigenvalues below the real axis have no conjugate above it")
    }
    return kept
  }

  /// The largest element of A V - V Λ over that of A.
  static func residual(
    _ matrix: ComplexMatrix,
    _ values: [ComplexNumber],
    _ vectors: ComplexMatrix
  ) -> Double {
    let moved = LinearAlgebra.product(matrix, vectors)
    var (largest, size) = (0.0, 0.0)
    for row in 0..<matrix.rows {
      for column in 0..<matrix.columns {
        let difference = moved[row, column] - vectors[row, column] * values[column]
        largest = max(largest, difference.magnitude)
        size = max(size, matrix[row, column].magnitude)
      }
    }
    return size > 0 ? largest / size : largest
  }
}
