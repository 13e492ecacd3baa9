import TesseraCore

/// What an adapter adds to one weight matrix [rows, columns], before its scale: computed row by row.
///
/// Convolutions are matrices too: a row is an output channel, its columns the rest in order.
///
/// LoRA: Hu et al., arXiv 2106.09685. LoHa and LoKr: LyCORIS, arXiv 2309.14859.
enum AdapterDelta: Sendable {
  /// `up` [rows, rank] times `down` [rank, columns].
  case product(MatrixProduct)
  /// The elementwise product of two matrix products (LoHa).
  case hadamard(MatrixProduct, MatrixProduct)
  /// The Kronecker product of two matrices (LoKr).
  case kronecker(Matrix, Matrix)

  /// A small matrix in memory, row-major.
  struct Matrix: Sendable {
    let rows: Int
    let columns: Int
    let values: [Float]

    func row(_ index: Int) -> ArraySlice<Float> {
      values[index * columns..<(index + 1) * columns]
    }

    /// Rows and columns exchanged.
    var transposed: Matrix {
      var result = [Float](repeating: 0, count: values.count)
      for row in 0..<rows {
        for column in 0..<columns { result[column * rows + row] = values[row * columns + column] }
      }
      return Matrix(rows: columns, columns: rows, values: result)
    }

    /// The sum of squares, in double precision.
    var squareSum: Double { values.reduce(0) { $0 + Double($1) * Double($1) } }
  }

  /// The product of two matrices that is computed row by row, never as a whole.
  struct MatrixProduct: Sendable {
    let up: Matrix
    let down: Matrix

    /// Adds `factor` times one row to a row of the result.
    func row(_ index: Int, into result: inout [Float], at offset: Int) {
      let columns = down.columns
      for (rank, factor) in up.row(index).enumerated() {
        let start = rank * columns
        for column in 0..<columns {
          result[offset + column] += factor * down.values[start + column]
        }
      }
    }

    /// The square of the Frobenius norm: tr((UᵀU)(DDᵀ)), two matrices of the rank's size.
    var squareSum: Double {
      let rank = down.rows
      var sum = 0.0
      for i in 0..<rank {
        for j in 0..<rank {
          var left = 0.0
          for row in 0..<up.rows {
            left += Double(up.values[row * rank + i]) * Double(up.values[row * rank + j])
          }
          var right = 0.0
          for column in 0..<down.columns {
            right +=
              Double(down.values[i * down.columns + column])
              * Double(down.values[j * down.columns + column])
          }
          sum += left * right
        }
      }
      return sum
    }
  }

  /// The rows and columns of the matrix that the adapter changes.
  var extents: (rows: Int, columns: Int) {
    switch self {
    case .product(let product), .hadamard(let product, _):
      (product.up.rows, product.down.columns)
    case .kronecker(let left, let right):
      (left.rows * right.rows, left.columns * right.columns)
    }
  }

  /// Some rows of the change.
  func rows(_ rows: Range<Int>) -> [Float] {
    let columns = extents.columns
    var result = [Float](repeating: 0, count: rows.count * columns)
    for (position, row) in rows.enumerated() {
      let offset = position * columns
      switch self {
      case .product(let product): product.row(row, into: &result, at: offset)
      case .hadamard(let first, let second):
        var other = [Float](repeating: 0, count: columns)
        first.row(row, into: &result, at: offset)
        second.row(row, into: &other, at: 0)
        for column in 0..<columns { result[offset + column] *= other[column] }
      case .kronecker(let left, let right):
        let factors = left.row(row / right.rows)
        let values = right.row(row % right.rows)
        var place = offset
        for factor in factors {
          for value in values {
            result[place] = factor * value
            place += 1
          }
        }
      }
    }
    return result
  }

  /// The square of the Frobenius norm, in double precision.
  var squareSum: Double {
    switch self {
    case .product(let product): product.squareSum
    case .kronecker(let left, let right): left.squareSum * right.squareSum
    case .hadamard(let first, let second):
      (0..<first.up.rows).reduce(0) { sum, row in
        var (a, b) = ([Float](repeating: 0, count: first.down.columns), [Float]())
        b = a
        first.row(row, into: &a, at: 0)
        second.row(row, into: &b, at: 0)
        return zip(a, b).reduce(sum) { $0 + Double($1.0 * $1.1) * Double($1.0 * $1.1) }
      }
    }
  }
}
