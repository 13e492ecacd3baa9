import TesseraCore

/// A and B of a file as real matrices; complex ones in their real blocks.
struct DenseSystem {
  let a: Matrix
  let b: Matrix
  /// The number of states as the file counts them.
  let order: Int
  let isComplex: Bool
  /// B's extents behind the first.
  let inputShape: [Int]

  /// Takes A and B from a file.
  ///
  /// - Throws: `TesseraError` where one is missing or shapes do not fit.
  init(_ file: StateSpaceFile) throws(TesseraError) {
    let a = try file.array("A")
    guard a.shape.count == 2, a.shape[0] == a.shape[1], a.shape[0] > 0 else {
      throw .mismatch("A has the shape \(a.storedShape), and [N, N] was expected")
    }
    let order = a.shape[0]
    let b = try file.array("B")
    guard b.shape.first == order else {
      throw .mismatch("B has the shape \(b.storedShape), and its first axis is not \(order)")
    }
    let columns = b.shape.dropFirst().reduce(1, *)
    self.order = order
    inputShape = Array(b.shape.dropFirst())
    isComplex = a.isComplex || b.isComplex
    guard isComplex else {
      self.a = Matrix(rows: order, columns: order, elements: a.values)
      self.b = Matrix(rows: order, columns: columns, elements: b.values)
      return
    }
    self.a = ComplexMatrix(rows: order, columns: order, elements: a.complexValues).realBlocks
    self.b = ComplexMatrix(rows: order, columns: columns, elements: b.complexValues).realBlocks
  }

  /// A matrix as the array of a file.
  func stored(_ matrices: [Matrix], shape: [Int]) -> StateSpaceArray {
    guard isComplex else { return StateSpaceArray(matrices.flatMap(\.elements), shape: shape) }
    let values = matrices.flatMap { ComplexMatrix(realBlocks: $0).elements }
    return StateSpaceArray(values, shape: shape)
  }
}

extension StateSpaceFile {
  /// An array that must be there.
  func array(_ name: String) throws(TesseraError) -> StateSpaceArray {
    guard let array = arrays[name] else {
      let present = arrays.keys.sorted().prefix(12).joined(separator: ", ")
      throw .mismatch("holds no \(name), only \(present.isEmpty ? "nothing" : present)")
    }
    return array
  }
}
