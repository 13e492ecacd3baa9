public import Tensors

/// A change of layout that keeps every value: what recipes are made of.
///
/// An operation takes a list of tensors and gives a list. All of them are exact and have an
/// inverse:
/// `operation.inverse` after `operation` gives the same bytes.
public enum TensorOperation: Hashable, Sendable {
  /// Axis `i` of the result is axis `axes[i]` of the tensor; applies to each tensor of the list.
  case permute([Int])
  /// The same elements in the same order under other extents; applies to each tensor of the list.
  case reshape(from: Shape, to: Shape)
  /// Cuts an axis into `order.count` equal blocks, such as gates; block `i` of the result is block
  /// `order[i]`. Applies to each tensor of the list.
  case permuteBlocks(axis: Int, order: [Int])
  /// Cuts one tensor along an axis into tensors of these extents.
  case split(axis: Int, sizes: [Int])
  /// Joins tensors of these extents along an axis.
  case concatenate(axis: Int, sizes: [Int])

  /// Exchanges the two axes of a matrix.
  public static let transpose = TensorOperation.permute([1, 0])

  /// The operation that undoes this one.
  public var inverse: TensorOperation {
    switch self {
    case .permute(let axes): .permute(TensorOperation.inverted(axes))
    case .reshape(let from, let to): .reshape(from: to, to: from)
    case .permuteBlocks(let axis, let order):
      .permuteBlocks(axis: axis, order: TensorOperation.inverted(order))
    case .split(let axis, let sizes): .concatenate(axis: axis, sizes: sizes)
    case .concatenate(let axis, let sizes): .split(axis: axis, sizes: sizes)
    }
  }

  private static func inverted(_ order: [Int]) -> [Int] {
    var inverse = [Int](repeating: 0, count: order.count)
    for (position, index) in order.enumerated() where inverse.indices.contains(index) {
      inverse[index] = position
    }
    return inverse
  }

  /// The shapes of the results, without any data.
  ///
  /// - Parameter shapes: The shapes of the operands.
  /// - Returns: One shape a result.
  /// - Throws: `OperationError` where the operation does not apply to these shapes.
  public func shapes(after shapes: [Shape]) throws(OperationError) -> [Shape] {
    switch self {
    case .split(let axis, let sizes):
      guard shapes.count == 1 else { throw refusal(shapes, "splits one tensor") }
      return try TensorOperation.split(shapes[0], axis, sizes, refusal)
    case .concatenate(let axis, let sizes): return [try joined(shapes, axis, sizes)]
    case .permute, .reshape, .permuteBlocks:
      var results: [Shape] = []
      for shape in shapes { results.append(try self.shape(after: shape)) }
      return results
    }
  }

  private func shape(after shape: Shape) throws(OperationError) -> Shape {
    switch self {
    case .permute(let axes):
      guard axes.sorted() == Array(0..<shape.rank) else {
        throw refusal([shape], "the axes are no permutation of this rank")
      }
      return Shape(axes.map { shape[$0] })
    case .reshape(let from, let to):
      guard shape == from, from.elementCount == to.elementCount else {
        throw refusal([shape], "the shape differs or the number of elements changes")
      }
      return to
    case .permuteBlocks(let axis, let order):
      guard order.sorted() == Array(0..<order.count), (0..<shape.rank).contains(axis),
        !order.isEmpty, shape[axis] % order.count == 0
      else { throw refusal([shape], "the axis does not hold so many equal blocks") }
      return shape
    case .split, .concatenate: return shape
    }
  }

  private static func split(
    _ shape: Shape,
    _ axis: Int,
    _ sizes: [Int],
    _ refusal: ([Shape], String) -> OperationError
  ) throws(OperationError) -> [Shape] {
    guard (0..<shape.rank).contains(axis), sizes.allSatisfy({ $0 >= 0 }),
      sizes.reduce(0, +) == shape[axis]
    else { throw refusal([shape], "the sizes do not add up to the axis") }
    return sizes.map { size in
      var dimensions = shape.dimensions
      dimensions[axis] = size
      return Shape(dimensions)
    }
  }

  private func joined(
    _ shapes: [Shape],
    _ axis: Int,
    _ sizes: [Int]
  ) throws(OperationError) -> Shape {
    guard let first = shapes.first, (0..<first.rank).contains(axis) else {
      throw refusal(shapes, "there is no such axis")
    }
    var whole = first.dimensions
    whole[axis] = sizes.reduce(0, +)
    let parts = try TensorOperation.split(Shape(whole), axis, sizes, refusal)
    guard parts == shapes else { throw refusal(shapes, "the parts have other shapes") }
    return Shape(whole)
  }

  func refusal(_ shapes: [Shape], _ cause: String) -> OperationError {
    OperationError(operation: self, shapes: shapes, cause: cause)
  }
}

extension TensorOperation: CustomStringConvertible {
  /// The operation as recipes write it: `permute(3,2,0,1)`.
  public var description: String {
    func list(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: ",") }
    return switch self {
    case .permute(let axes): "permute(\(list(axes)))"
    case .reshape(_, let to): "reshape(\(list(to.dimensions)))"
    case .permuteBlocks(let axis, let order): "permute_blocks(axis \(axis): \(list(order)))"
    case .split(let axis, let sizes): "split(axis \(axis): \(list(sizes)))"
    case .concatenate(let axis, let sizes): "concatenate(axis \(axis): \(list(sizes)))"
    }
  }
}

/// Why an operation does not apply to tensors of these shapes.
public struct OperationError: ClassifiedError, Hashable {
  /// The operation.
  public let operation: TensorOperation
  /// The shapes of its operands.
  public let shapes: [Shape]
  /// What does not fit.
  public let cause: String

  /// Always a mismatch.
  public var kind: FailureKind { .mismatch }

  /// One line with operation, shapes and cause.
  public var description: String {
    let operands = shapes.map(\.description).joined(separator: ", ")
    return "\(operation) of \(operands): \(cause)"
  }
}
