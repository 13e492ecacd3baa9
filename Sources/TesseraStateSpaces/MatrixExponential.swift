import Foundation
import TesseraCore

/// The exponential of a matrix by a Padé approximant after scaling, then squaring (Higham 2005).
enum MatrixExponential {
  /// The largest 1-norm at which the approximant of each order is right to double precision.
  private static let bounds: [(order: Int, norm: Double)] = [
    (3, 1.495_585_217_958_292e-2), (5, 2.539_398_330_063_23e-1), (7, 9.504_178_996_162_932e-1),
    (9, 2.097_847_961_257_068),
  ]
  private static let bound13 = 5.371_920_351_148_152

  /// e to the power of a square matrix.
  ///
  /// - Throws: `TesseraError` where the result overflows.
  static func of(_ matrix: Matrix) throws(TesseraError) -> Matrix {
    let norm = matrix.oneNorm
    guard norm.isFinite else { throw .limit("a matrix to be exponentiated has the norm \(norm)") }
    if let small = bounds.first(where: { norm <= $0.norm }) {
      return try quotient(of: matrix, order: small.order)
    }
    let squarings = max(0, Int(log2(norm / bound13).rounded(.up)))
    guard squarings < 1000 else {
      throw .limit("a matrix to be exponentiated has the norm \(norm); shorten the step")
    }
    var result = try quotient(of: matrix.scaled(by: exp2(-Double(squarings))), order: 13)
    for _ in 0..<squarings { result = LinearAlgebra.product(result, result) }
    guard result.elements.allSatisfy(\.isFinite) else {
      throw .limit("the exponential of a matrix of norm \(norm) overflows; shorten the step")
    }
    return result
  }

  /// The numerator's coefficients of the [m/m] approximant, the constant first:
  /// (2m - j)! m! / ((2m)! (m - j)! j!).
  private static func coefficients(order: Int) -> [Double] {
    var values = [1.0]
    for index in 0..<order {
      let ratio = Double(order - index) / (Double(2 * order - index) * Double(index + 1))
      values.append((values.last ?? 1) * ratio)
    }
    return values
  }

  /// (V - U)^-1 (V + U), where V holds the even powers and U the odd ones.
  private static func quotient(
    of matrix: Matrix,
    order: Int
  ) throws(TesseraError) -> Matrix {
    let c = coefficients(order: order)
    let identity = Matrix.identity(matrix.rows)
    let square = LinearAlgebra.product(matrix, matrix)
    var (even, odd) = (identity.scaled(by: c[0]), identity.scaled(by: c[1]))
    var power = identity
    for index in 1...order / 2 {
      power = LinearAlgebra.product(power, square)
      even = .combination(1, even, c[2 * index], power)
      odd = .combination(1, odd, c[2 * index + 1], power)
    }
    odd = LinearAlgebra.product(matrix, odd)
    return try LinearAlgebra.solve(
      .combination(1, even, -1, odd),
      .combination(1, even, 1, odd)
    )
  }
}
