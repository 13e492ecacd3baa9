import CLAPACK

/// LAPACK in double precision: solves, eigenvalues, singular values, products.
///
/// The reference implementation, linked statically, so that results do not depend on the machine.
package enum LinearAlgebra {
  /// The product of two matrices.
  package static func product(_ a: Matrix, _ b: Matrix) -> Matrix {
    precondition(a.columns == b.rows, "the shapes fit")
    var result = Matrix(rows: a.rows, columns: b.columns)
    guard !result.elements.isEmpty, a.columns > 0 else { return result }
    // Row-major is the transpose of column-major, and (A B)' = B' A'.
    var (m, n, k) = (Int32(b.columns), Int32(a.rows), Int32(a.columns))
    var (one, zero) = (1.0, 0.0)
    unsafe dgemm_(
      "N",
      "N",
      &m,
      &n,
      &k,
      &one,
      b.elements,
      &m,
      a.elements,
      &k,
      &zero,
      &result.elements,
      &m,
      1,
      1
    )
    return result
  }

  /// The product of two complex matrices.
  package static func product(_ a: ComplexMatrix, _ b: ComplexMatrix) -> ComplexMatrix {
    precondition(a.columns == b.rows, "the shapes fit")
    var result = ComplexMatrix(rows: a.rows, columns: b.columns) { _, _ in .zero }
    guard !result.elements.isEmpty, a.columns > 0 else { return result }
    var (m, n, k) = (Int32(b.columns), Int32(a.rows), Int32(a.columns))
    var (one, zero) = (ComplexNumber.one, ComplexNumber.zero)
    unsafe zgemm_(
      "N",
      "N",
      &m,
      &n,
      &k,
      &one,
      b.elements,
      &m,
      a.elements,
      &k,
      &zero,
      &result.elements,
      &m,
      1,
      1
    )
    return result
  }

  /// X of A X = B.
  ///
  /// - Throws: `TesseraError` where A is singular.
  package static func solve(_ a: Matrix, _ b: Matrix) throws(TesseraError) -> Matrix {
    var (factors, solution) = (a.transposed, b.transposed)
    var (n, columns, info) = (Int32(a.rows), Int32(b.columns), Int32(0))
    guard n > 0, columns > 0 else { return b }
    var pivots = [Int32](repeating: 0, count: a.rows)
    unsafe dgesv_(&n, &columns, &factors.elements, &n, &pivots, &solution.elements, &n, &info)
    try check(info)
    return solution.transposed
  }

  /// X of A X = B for complex numbers.
  ///
  /// - Throws: `TesseraError` where A is singular.
  package static func solve(
    _ a: ComplexMatrix,
    _ b: ComplexMatrix
  ) throws(TesseraError) -> ComplexMatrix {
    var (factors, solution) = (a.transposed, b.transposed)
    var (n, columns, info) = (Int32(a.rows), Int32(b.columns), Int32(0))
    guard n > 0, columns > 0 else { return b }
    var pivots = [Int32](repeating: 0, count: a.rows)
    unsafe zgesv_(&n, &columns, &factors.elements, &n, &pivots, &solution.elements, &n, &info)
    try check(info)
    return solution.transposed
  }

  private static func check(_ info: Int32) throws(TesseraError) {
    guard info != 0 else { return }
    throw .limit("the matrix to be inverted is singular: pivot \(info) of its factors is 0")
  }

  /// The eigenvalues of a real matrix, in LAPACK's order.
  ///
  /// - Throws: `TesseraError` where the iteration does not converge.
  package static func eigenvalues(_ matrix: Matrix) throws(TesseraError) -> [ComplexNumber] {
    let order = matrix.rows
    guard order > 0 else { return [] }
    var a = matrix.transposed.elements
    var (n, info, size) = (Int32(order), Int32(0), Int32(8 * order))
    var real = [Double](repeating: 0, count: order)
    var imaginary = real
    var (unused, unusedToo) = (0.0, 0.0)
    var one = Int32(1)
    var work = [Double](repeating: 0, count: 8 * order)
    unsafe dgeev_(
      "N",
      "N",
      &n,
      &a,
      &n,
      &real,
      &imaginary,
      &unused,
      &one,
      &unusedToo,
      &one,
      &work,
      &size,
      &info,
      1,
      1
    )
    try converged(info)
    return zip(real, imaginary).map { ComplexNumber($0, $1) }
  }

  /// The eigenvalues of a complex matrix and its eigenvectors, one per column, of length 1.
  ///
  /// - Throws: `TesseraError` where the iteration does not converge.
  package static func eigen(
    _ matrix: ComplexMatrix
  ) throws(TesseraError) -> (values: [ComplexNumber], vectors: ComplexMatrix) {
    let order = matrix.rows
    var a = matrix.transposed
    var vectors = a
    var (n, info, size) = (Int32(order), Int32(0), Int32(8 * order))
    var values = [ComplexNumber](repeating: .zero, count: order)
    var unused = ComplexNumber.zero
    var one = Int32(1)
    var work = [ComplexNumber](repeating: .zero, count: 8 * order)
    var realWork = [Double](repeating: 0, count: 2 * order)
    unsafe zgeev_(
      "N",
      "V",
      &n,
      &a.elements,
      &n,
      &values,
      &unused,
      &one,
      &vectors.elements,
      &n,
      &work,
      &size,
      &realWork,
      &info,
      1,
      1
    )
    try converged(info)
    return (values, vectors.transposed)
  }

  /// The eigenvalues, ascending, of a Hermitian matrix and its orthonormal eigenvectors, one per column.
  ///
  /// - Throws: `TesseraError` where the iteration does not converge.
  package static func hermitianEigen(
    _ matrix: ComplexMatrix
  ) throws(TesseraError) -> (values: [Double], vectors: ComplexMatrix) {
    let order = matrix.rows
    var vectors = matrix.transposed
    var (n, info, size) = (Int32(order), Int32(0), Int32(34 * order))
    var values = [Double](repeating: 0, count: order)
    var work = [ComplexNumber](repeating: .zero, count: 34 * order)
    var realWork = [Double](repeating: 0, count: 3 * order)
    unsafe zheev_(
      "V",
      "L",
      &n,
      &vectors.elements,
      &n,
      &values,
      &work,
      &size,
      &realWork,
      &info,
      1,
      1
    )
    try converged(info)
    return (values, vectors.transposed)
  }

  /// The singular values of a matrix, descending.
  ///
  /// - Throws: `TesseraError` where the iteration does not converge.
  package static func singularValues(_ matrix: ComplexMatrix) throws(TesseraError) -> [Double] {
    var a = matrix.elements
    var (m, n, info) = (Int32(matrix.columns), Int32(matrix.rows), Int32(0))
    let count = min(matrix.rows, matrix.columns)
    let larger = max(matrix.rows, matrix.columns)
    var values = [Double](repeating: 0, count: count)
    var size = Int32(8 * larger)
    var work = [ComplexNumber](repeating: .zero, count: 8 * larger)
    var realWork = [Double](repeating: 0, count: 5 * count)
    var (left, right) = (ComplexNumber.zero, ComplexNumber.zero)
    var one = Int32(1)
    unsafe zgesvd_(
      "N",
      "N",
      &m,
      &n,
      &a,
      &m,
      &values,
      &left,
      &one,
      &right,
      &one,
      &work,
      &size,
      &realWork,
      &info,
      1,
      1
    )
    try converged(info)
    return values
  }

  /// The ratio of the largest to the smallest singular value; infinity for a singular matrix.
  package static func condition(_ matrix: ComplexMatrix) throws(TesseraError) -> Double {
    let values = try singularValues(matrix)
    guard let first = values.first, let last = values.last, last > 0 else { return .infinity }
    return first / last
  }

  private static func converged(_ info: Int32) throws(TesseraError) {
    guard info != 0 else { return }
    let what = info < 0 ? "hold a value that is not finite" : "did not converge"
    throw .limit("eigenvalues \(what) (LAPACK info \(info))")
  }
}
