import Foundation
package import TesseraCore

/// What is true of a state-space file, in numbers.
package struct StateSpaceCheck: Sendable, Hashable, Encodable {
  /// Whether every number below is within its bound.
  package var ok: Bool { failures.isEmpty }
  /// What is beyond its bound, a sentence each.
  package private(set) var failures: [String] = []
  /// dense, diagonal or dplr.
  package let system: String
  /// The measure that the metadata name.
  package let measure: String?
  /// The largest difference between A and the measure's matrix, over the largest element.
  package private(set) var measureResidual: Double?
  /// The largest element of A e0 + B over that of B; in blog form B is sqrt 2 times as long.
  package private(set) var dcResidual: Double?
  /// The same for discrete time: B_bar - (I - A_bar) e0.
  package private(set) var discreteDCResidual: Double?
  /// The largest real part of an eigenvalue.
  package private(set) var abscissa: Double?
  /// The least real part.
  package private(set) var leastReal: Double?
  /// The largest imaginary part.
  package private(set) var largestImaginary: Double?
  /// The largest size of an eigenvalue of A_bar.
  package private(set) var spectralRadius: Double?
  /// The largest element of A - (V Λ V* - P P*), over that of A.
  package private(set) var lowRankResidual: Double?
  /// The largest element of [V, V̄]* [V, V̄] - I.
  package private(set) var unitarityResidual: Double?
  /// The rule, the step and the largest difference between recurrence and kernel over 64 samples,
  /// over the largest output.
  package private(set) var recurrence: Recurrence?

  /// A comparison of the recurrence with the convolution by the kernel.
  package struct Recurrence: Sendable, Hashable, Encodable {
    /// The rule of discretisation.
    package let method: String
    /// The step; the first channel's.
    package let dt: Double?
    /// The largest difference over the largest output.
    package let difference: Double
  }

  /// The arrays that nothing was compared with.
  package let unused: [String]

  private enum CodingKeys: String, CodingKey {
    case ok, failures, system, measure, abscissa, recurrence
    case measureResidual = "measure_residual"
    case dcResidual = "dc_residual"
    case discreteDCResidual = "discrete_dc_residual"
    case leastReal = "least_real"
    case largestImaginary = "largest_imaginary"
    case spectralRadius = "spectral_radius"
    case lowRankResidual = "nplr_residual"
    case unitarityResidual = "unitarity_residual"
  }

  /// Every key, with null where a check does not apply.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(ok, forKey: .ok)
    try container.encode(failures, forKey: .failures)
    try container.encode(system, forKey: .system)
    try container.encode(measure, forKey: .measure)
    try container.encode(measureResidual, forKey: .measureResidual)
    try container.encode(dcResidual, forKey: .dcResidual)
    try container.encode(discreteDCResidual, forKey: .discreteDCResidual)
    try container.encode(abscissa, forKey: .abscissa)
    try container.encode(leastReal, forKey: .leastReal)
    try container.encode(largestImaginary, forKey: .largestImaginary)
    try container.encode(spectralRadius, forKey: .spectralRadius)
    try container.encode(lowRankResidual, forKey: .lowRankResidual)
    try container.encode(unitarityResidual, forKey: .unitarityResidual)
    try container.encode(recurrence, forKey: .recurrence)
  }

  /// The largest residual that is taken for rounding.
  private static let bound = 1e-6

  /// Checks a file.
  ///
  /// - Throws: `TesseraError` where arrays are missing or do not fit together.
  package init(
    _ file: StateSpaceFile,
    structure: StateSpaceFile.Structure
  ) throws(TesseraError) {
    system = structure.rawValue
    let used = ["A", "B", "C", "Lambda", "A_bar", "B_bar", "dt", "l_kernel"]
    let isDecomposed = ["Lambda", "P", "V"].allSatisfy { file.arrays[$0] != nil }
    let parts = structure == .dplr ? ["P"] : structure == .dense && isDecomposed ? ["P", "V"] : []
    unused = file.unused(besides: Set(used + parts))
    let hippo = try file.hippo()
    measure = hippo?.measure.rawValue
    switch structure {
    case .dense: try checkDense(file, hippo)
    case .diagonal:
      let diagonal = try DiagonalSystem(file)
      checkSpectrum((0..<diagonal.channels).flatMap { diagonal.lambda($0) })
      if file.arrays["A_bar"] != nil {
        let discrete = try DiagonalSystem(
          file,
          channels: diagonal.leadingShape.first,
          isDiscrete: true
        )
        let values = (0..<discrete.channels).flatMap { discrete.lambda($0) }
        checkRadius(values.map(\.magnitude).max() ?? 0)
      }
    case .dplr:
      let lowRank = try LowRankSystem(file)
      var values: [ComplexNumber] = []
      for channel in 0..<lowRank.channels {
        values += try LinearAlgebra.eigen(lowRank.matrix(channel)).values
      }
      checkSpectrum(values)
      try checkDiscrete(file, order: 2 * lowRank.modes, nil)
    }
    let size = max(abs(leastReal ?? 0), largestImaginary ?? 0)
    // Numbers that overflow compare nothing.
    let grows = failures.contains { $0.contains("grows") || $0.contains("spectral radius") }
    if grows { return }
    recurrence = try StateSpaceCheck.recurrence(file, structure, size: size)
    if let recurrence { limit(recurrence.difference, "recurrence against kernel") }
  }

  private mutating func limit(_ value: Double, _ what: String) {
    guard !(value <= StateSpaceCheck.bound) else { return }
    failures.append("\(what) is \(value), above \(StateSpaceCheck.bound)")
  }

  private mutating func checkDense(
    _ file: StateSpaceFile,
    _ hippo: HippoSystem?
  ) throws(TesseraError) {
    let dense = try DenseSystem(file)
    checkSpectrum(try LinearAlgebra.eigenvalues(dense.a))
    // Real blocks have e0 in their first column too.
    let scale: Double? = hippo.flatMap { hippo in
      let hasIdentity =
        [.legs, .legt, .lmu, .fout].contains(hippo.measure)
        || (hippo.measure == .lagt && hippo.tilt == 1)
      return hasIdentity ? (hippo.form == .blog ? 2.0.squareRoot() : 1) : nil
    }
    if let scale {
      let sums = (0..<dense.order).map { abs(scale * dense.a[$0, 0] + dense.b[$0, 0]) }
      let residual = (sums.max() ?? 0) / dense.b.largest
      dcResidual = residual
      limit(residual, "A e0 + B")
    }
    if let hippo, !hippo.measure.isDiagonal {
      let expected = try DenseSystem(StateSpaceFile(hippo))
      guard expected.a.elements.count == dense.a.elements.count else {
        throw .mismatch("A has \(dense.order) states, and the metadata name \(hippo.order)")
      }
      let difference = Matrix.combination(1, dense.a, -1, expected.a).largest
      let residual = difference / expected.a.largest
      measureResidual = residual
      limit(residual, "the difference to the matrix of \(hippo.measure.rawValue)")
    }
    try checkDiscrete(file, order: dense.order, scale)
    try checkLowRank(file, dense)
  }

  private mutating func checkDiscrete(
    _ file: StateSpaceFile,
    order: Int,
    _ scale: Double?
  ) throws(TesseraError) {
    guard let stored = file.arrays["A_bar"], let input = file.arrays["B_bar"] else { return }
    let leading = Array(stored.shape.dropLast(2))
    guard stored.shape.suffix(2) == [order, order], leading.count <= 1,
      input.shape.starts(with: leading + [order])
    else {
      throw .mismatch(
        "A_bar has the shape \(stored.storedShape) and B_bar \(input.storedShape) for \(order) states"
      )
    }
    let (a, b) = (stored.complexValues, input.complexValues)
    let channels = a.count / (order * order)
    let inputs = b.count / max(channels * order, 1)
    var (radius, residual) = (0.0, 0.0)
    for channel in 0..<channels {
      let start = channel * order * order
      let matrix = ComplexMatrix(
        rows: order,
        columns: order,
        elements: Array(a[start..<start + order * order])
      )
      let values = try LinearAlgebra.eigenvalues(
        stored.isComplex
          ? matrix.realBlocks
          : Matrix(rows: order, columns: order, elements: matrix.elements.map(\.real))
      )
      radius = max(radius, values.map(\.magnitude).max() ?? 0)
      for n in 0..<order where inputs == 1 {
        let rest = (n == 0 ? ComplexNumber.one : .zero) - matrix[n, 0]
        residual = max(residual, (b[channel * order + n] - (scale ?? 1) * rest).magnitude)
      }
    }
    checkRadius(radius)
    guard scale != nil, inputs == 1 else { return }
    discreteDCResidual = residual
    // The paper's and hippo-py's conventions of LegS do not keep constants: no failure.
    let convention = file.metadata[StateSpaceFile.Key.convention]
    let keeps =
      file.metadata[StateSpaceFile.Key.legsStep] == nil || convention == "optimal"
      || convention == "trap" || convention == "hippo-c"
    if keeps { limit(residual, "B_bar - (I - A_bar) e0") }
  }

  private mutating func checkRadius(_ radius: Double) {
    spectralRadius = radius
    if radius > 1 + StateSpaceCheck.bound {
      failures.append("the spectral radius of A_bar is \(radius)")
    }
  }

  private mutating func checkSpectrum(_ values: [ComplexNumber]) {
    let largest = values.map(\.real).max() ?? 0
    abscissa = largest
    leastReal = values.map(\.real).min()
    largestImaginary = values.map { abs($0.imaginary) }.max()
    let size = max(1, values.map(\.magnitude).max() ?? 0)
    if largest > StateSpaceCheck.bound * size {
      failures.append("an eigenvalue has the real part \(largest): the system grows")
    }
  }

  private mutating func checkLowRank(
    _ file: StateSpaceFile,
    _ dense: DenseSystem
  ) throws(TesseraError) {
    guard let values = file.arrays["Lambda"], let vectors = file.arrays["V"],
      let corrections = file.arrays["P"], !dense.isComplex
    else { return }
    let (order, half) = (dense.order, values.complexValues.count)
    guard vectors.complexValues.count == order * half, half > 0,
      corrections.complexValues.count % half == 0
    else {
      throw .mismatch(
        "Lambda \(values.storedShape), V \(vectors.storedShape) and P \(corrections.storedShape) do "
          + "not fit together"
      )
    }
    try DiagonalSystem.checkHalves(values.complexValues, modes: half)
    let v = ComplexMatrix(rows: order, columns: half, elements: vectors.complexValues)
    let whole = ComplexMatrix(rows: order, columns: 2 * half) { row, column in
      column < half ? v[row, column] : v[row, column - half].conjugate
    }
    let lambda = values.complexValues + values.complexValues.map(\.conjugate)
    let scaled = ComplexMatrix(rows: order, columns: 2 * half) { whole[$0, $1] * lambda[$1] }
    let adjoint = ComplexMatrix(rows: 2 * half, columns: order) { whole[$1, $0].conjugate }
    let normal = LinearAlgebra.product(scaled, adjoint)
    let ranks = corrections.complexValues.count / half
    let p = (0..<ranks).map { rank in
      v.times(Array(corrections.complexValues[rank * half..<(rank + 1) * half])).map { 2 * $0.real }
    }
    let residual = Self.distance(from: normal, minus: p, to: dense.a) / dense.a.largest
    lowRankResidual = residual
    limit(residual, "A - (V Λ V* - P P*)")
    let unitarity = Self.distanceFromIdentity(LinearAlgebra.product(adjoint, whole))
    unitarityResidual = unitarity
    limit(unitarity, "[V, V̄]* [V, V̄] - I")
  }

  /// The largest element of `normal` - p p^T - `dense`.
  private static func distance(
    from normal: ComplexMatrix,
    minus p: [[Double]],
    to dense: Matrix
  ) -> Double {
    var largest = 0.0
    for row in 0..<normal.rows {
      for column in 0..<normal.columns {
        let low = p.reduce(0) { $0 + $1[row] * $1[column] }
        largest = max(largest, abs(normal[row, column].real - low - dense[row, column]))
      }
    }
    return largest
  }

  private static func distanceFromIdentity(_ matrix: ComplexMatrix) -> Double {
    var largest = 0.0
    for row in 0..<matrix.rows {
      for column in 0..<matrix.columns {
        let expected = row == column ? ComplexNumber.one : .zero
        largest = max(largest, (matrix[row, column] - expected).magnitude)
      }
    }
    return largest
  }
}
