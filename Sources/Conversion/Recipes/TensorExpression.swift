import Readers
import Tensors

/// A result of operations on stored tensors: views joined along one axis.
struct TensorExpression: Sendable {
  /// The axis along which the parts follow one another.
  private(set) var axis = 0
  /// The parts; usually one.
  private(set) var parts: [TensorView]

  /// A stored tensor as it is.
  init(_ tensor: TensorInfo) { parts = [TensorView(tensor)] }

  private init(axis: Int, parts: [TensorView]) {
    self.axis = axis
    self.parts = parts
  }

  /// The extents of the whole.
  var shape: Shape {
    var dimensions = parts[0].shape.dimensions
    if parts.count > 1 { dimensions[axis] = parts.reduce(0) { $0 + $1.shape[axis] } }
    return Shape(dimensions)
  }

  /// Applies operations one after another.
  ///
  /// - Throws: `OperationError` where one does not apply, or cuts through what another has moved.
  static func apply(
    _ operations: [TensorOperation],
    to tensors: [TensorInfo]
  ) throws(OperationError) -> [TensorExpression] {
    var results = tensors.map { TensorExpression($0) }
    for operation in operations {
      let expected = try operation.shapes(after: results.map(\.shape))
      if !operation.isIdentity, let narrow = tensors.first(where: { $0.elementType.bitWidth < 8 }) {
        throw operation.refusal([narrow.shape], "elements of less than a byte cannot be moved")
      }
      results = try apply(operation, to: results)
      precondition(results.map(\.shape) == expected, "views have the shapes that were foreseen")
    }
    return results
  }

  private static func apply(
    _ operation: TensorOperation,
    to operands: [TensorExpression]
  ) throws(OperationError) -> [TensorExpression] {
    let results: [TensorExpression]?
    switch operation {
    case .permute(let axes): results = operands.map { $0.permuted(axes) }
    case .reshape(_, let shape): results = all(operands.map { $0.reshaped(to: shape) })
    case .permuteBlocks(let axis, let order):
      results = all(operands.map { $0.blocksPermuted(axis: axis, order) })
    case .split(let axis, let sizes):
      var start = 0
      results = all(
        sizes.map { size in
          defer { start += size }
          return operands[0].sliced(axis: axis, start..<start + size)
        }
      )
    case .concatenate(let axis, _):
      let isFlat = operands.allSatisfy { $0.parts.count == 1 || $0.axis == axis }
      results = isFlat ? [TensorExpression(axis: axis, parts: operands.flatMap(\.parts))] : nil
    }
    guard let results else {
      throw operation.refusal(
        operands.map(\.shape),
        "cuts through what an operation before has moved"
      )
    }
    return results
  }

  private static func all<Element>(_ elements: [Element?]) -> [Element]? {
    let present = elements.compactMap { $0 }
    return present.count == elements.count ? present : nil
  }

  private func permuted(_ axes: [Int]) -> TensorExpression {
    let moved = axes.firstIndex(of: axis) ?? 0
    return TensorExpression(axis: moved, parts: parts.map { $0.permuted(axes) })
  }

  private func reshaped(to shape: Shape) -> TensorExpression? {
    guard parts.count == 1, let view = parts[0].reshaped(to: shape) else { return nil }
    return TensorExpression(axis: 0, parts: [view])
  }

  private func blocksPermuted(axis: Int, _ order: [Int]) -> TensorExpression? {
    if parts.count == 1 || axis != self.axis {
      let moved = TensorExpression.all(parts.map { $0.blocksPermuted(axis: axis, order) })
      return moved.map { TensorExpression(axis: self.axis, parts: $0) }
    }
    let extents = Set(parts.map { $0.shape[axis] })
    guard parts.count == order.count, extents.count == 1 else { return nil }
    return TensorExpression(axis: axis, parts: order.map { parts[$0] })
  }

  private func sliced(axis: Int, _ range: Range<Int>) -> TensorExpression? {
    if parts.count == 1 || axis != self.axis {
      let cut = TensorExpression.all(parts.map { $0.sliced(axis: axis, range) })
      return cut.map { TensorExpression(axis: self.axis, parts: $0) }
    }
    var start = 0
    var cut: [TensorView?] = []
    for part in parts {
      let extent = part.shape[axis]
      let overlap = range.clamped(to: start..<start + extent)
      if !overlap.isEmpty {
        cut.append(part.sliced(axis: axis, overlap.lowerBound - start..<overlap.upperBound - start))
      }
      start += extent
    }
    guard let views = TensorExpression.all(cut), !views.isEmpty else { return nil }
    return TensorExpression(axis: axis, parts: views)
  }
}

extension TensorOperation {
  /// Whether the operation leaves every byte where it is.
  fileprivate var isIdentity: Bool {
    switch self {
    case .permute(let axes): axes == Array(0..<axes.count)
    case .reshape: true
    case .permuteBlocks(_, let order): order == Array(0..<order.count)
    case .split, .concatenate: false
    }
  }
}
