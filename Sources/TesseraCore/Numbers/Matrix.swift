/// A dense real matrix, row-major.
package struct Matrix: Hashable, Sendable {
  /// The number of rows.
  package let rows: Int
  /// The number of columns.
  package let columns: Int
  /// The elements, row after row.
  package var elements: [Double]

  /// Creates a matrix of zeros.
  package init(rows: Int, columns: Int) {
    self.init(rows: rows, columns: columns, elements: Array(repeating: 0, count: rows * columns))
  }

  /// Creates a matrix from its elements, row after row.
  package init(rows: Int, columns: Int, elements: [Double]) {
    precondition(elements.count == rows * columns, "\(rows) x \(columns) elements")
    (self.rows, self.columns, self.elements) = (rows, columns, elements)
  }

  /// Creates a square matrix element by element.
  package init(order: Int, _ element: (_ row: Int, _ column: Int) -> Double) {
    var elements: [Double] = []
    elements.reserveCapacity(order * order)
    for row in 0..<order {
      for column in 0..<order { elements.append(element(row, column)) }
    }
    self.init(rows: order, columns: order, elements: elements)
  }

  /// The identity.
  package static func identity(_ order: Int) -> Matrix {
    Matrix(order: order) { $0 == $1 ? 1 : 0 }
  }

  /// One element.
  package subscript(row: Int, column: Int) -> Double {
    get { elements[row * columns + column] }
    set { elements[row * columns + column] = newValue }
  }

  /// The matrix with rows and columns exchanged.
  package var transposed: Matrix {
    var result = Matrix(rows: columns, columns: rows)
    for row in 0..<rows {
      for column in 0..<columns { result[column, row] = self[row, column] }
    }
    return result
  }

  /// The largest sum of absolute values in a column.
  package var oneNorm: Double {
    var sums = [Double](repeating: 0, count: columns)
    for row in 0..<rows {
      for column in 0..<columns { sums[column] += abs(self[row, column]) }
    }
    return sums.max() ?? 0
  }

  /// The largest absolute value; not-a-number where an element is.
  package var largest: Double {
    elements.reduce(0) { $0.isNaN || $1.isNaN ? .nan : max($0, abs($1)) }
  }

  /// The whole-matrix sum a x + b y.
  package static func combination(_ a: Double, _ x: Matrix, _ b: Double, _ y: Matrix) -> Matrix {
    Matrix(
      rows: x.rows,
      columns: x.columns,
      elements: zip(x.elements, y.elements).map { a * $0 + b * $1 }
    )
  }

  /// The matrix with every element multiplied.
  package func scaled(by factor: Double) -> Matrix {
    Matrix(rows: rows, columns: columns, elements: elements.map { factor * $0 })
  }

  /// The product with a column.
  package func times(_ vector: [Double]) -> [Double] {
    (0..<rows).map { row in
      var sum = 0.0
      for column in 0..<columns { sum += self[row, column] * vector[column] }
      return sum
    }
  }
}

/// A dense complex matrix, row-major.
package struct ComplexMatrix: Hashable, Sendable {
  /// The number of rows.
  package let rows: Int
  /// The number of columns.
  package let columns: Int
  /// The elements, row after row.
  package var elements: [ComplexNumber]

  /// Creates a matrix from its elements, row after row.
  package init(rows: Int, columns: Int, elements: [ComplexNumber]) {
    precondition(elements.count == rows * columns, "\(rows) x \(columns) elements")
    (self.rows, self.columns, self.elements) = (rows, columns, elements)
  }

  /// Creates a matrix element by element.
  package init(rows: Int, columns: Int, _ element: (_ row: Int, _ column: Int) -> ComplexNumber) {
    var elements: [ComplexNumber] = []
    elements.reserveCapacity(rows * columns)
    for row in 0..<rows {
      for column in 0..<columns { elements.append(element(row, column)) }
    }
    self.init(rows: rows, columns: columns, elements: elements)
  }

  /// A real matrix as a complex one.
  package init(_ matrix: Matrix) {
    self.init(
      rows: matrix.rows,
      columns: matrix.columns,
      elements: matrix.elements.map { ComplexNumber($0) }
    )
  }

  /// One element.
  package subscript(row: Int, column: Int) -> ComplexNumber {
    get { elements[row * columns + column] }
    set { elements[row * columns + column] = newValue }
  }

  /// The matrix with rows and columns exchanged, not conjugated.
  package var transposed: ComplexMatrix {
    ComplexMatrix(rows: columns, columns: rows) { self[$1, $0] }
  }

  /// The real matrix [[Re, -Im], [Im, Re]], which multiplies, inverts and exponentiates alike.
  package var realBlocks: Matrix {
    var result = Matrix(rows: 2 * rows, columns: 2 * columns)
    for row in 0..<rows {
      for column in 0..<columns {
        let value = self[row, column]
        result[row, column] = value.real
        result[row, columns + column] = -value.imaginary
        result[rows + row, column] = value.imaginary
        result[rows + row, columns + column] = value.real
      }
    }
    return result
  }

  /// The complex matrix of a real one of blocks.
  package init(realBlocks matrix: Matrix) {
    let (rows, columns) = (matrix.rows / 2, matrix.columns / 2)
    self.init(rows: rows, columns: columns) { row, column in
      ComplexNumber(matrix[row, column], matrix[rows + row, column])
    }
  }

  /// The product with a column.
  package func times(_ vector: [ComplexNumber]) -> [ComplexNumber] {
    (0..<rows).map { row in
      var sum = ComplexNumber.zero
      for column in 0..<columns { sum += self[row, column] * vector[column] }
      return sum
    }
  }
}
