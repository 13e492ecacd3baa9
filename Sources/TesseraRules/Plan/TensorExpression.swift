import TesseraCheckpoints
import TesseraCore

/// A result of operations on stored tensors: views joined along one axis.
struct TensorExpression: Sendable {
  /// The axis along which the parts follow one another.
  private(set) var axis = 0
  /// The parts; at least one, usually one.
  private(set) var parts: [TensorView]

  /// A stored tensor as it is.
  init(_ tensor: TensorInfo) { parts = [TensorView(.stored(tensor))] }

  /// A tensor of one value.
  init(_ tensor: TensorInfo, filledWith value: ImpliedTensor.Value) {
    self.init(
      TensorComputation(
        filling: TensorForm(shape: tensor.shape, elementType: tensor.elementType),
        with: value
      )
    )
  }

  /// A tensor whose values are known.
  init(_ tensor: Tensor) { self.init(TensorComputation(stating: tensor)) }

  private init(_ computation: TensorComputation) { parts = [TensorView(.computed(computation))] }

  private init(axis: Int, parts: [TensorView]) {
    (self.axis, self.parts) = (axis, parts)
  }

  /// The extents of the whole.
  var shape: Shape {
    var dimensions = parts[0].shape.dimensions
    if parts.count > 1 { dimensions[axis] = parts.reduce(0) { $0 + $1.shape[axis] } }
    return Shape(dimensions)
  }

  /// The type of the elements; the same in all parts.
  var elementType: ElementType { parts[0].pipeline.output }

  /// Extents and type.
  var form: TensorForm { TensorForm(shape: shape, elementType: elementType) }

  /// The most memory that whole tensors take on the way, in bytes.
  var wholeByteCount: Int { parts.map(\.source.wholeByteCount).max() ?? 0 }

  /// Applies operations one after another.
  ///
  /// What no view can show is computed from whole tensors in memory.
  ///
  /// - Throws: `TesseraError` where one does not apply.
  static func apply(
    _ operations: [TensorOperation],
    to operands: [TensorExpression]
  ) throws(TesseraError) -> [TensorExpression] {
    var results = operands
    for operation in operations {
      let expected = try operation.forms(after: results.map(\.form))
      if !operation.isIdentity,
        let narrow = results.first(where: { $0.parts[0].source.elementType.bitWidth < 8 })
      {
        throw operation.refusal([narrow.shape], "elements of less than a byte cannot be moved")
      }
      if let views = try apply(operation, to: results) {
        results = views
      } else if operation.isView {
        // The tensors as they are now, whole: any view of those is one.
        let wholes = results.map { TensorExpression(TensorComputation(of: $0)) }
        results = try apply(operation, to: wholes) ?? []
      } else {
        results = zip(results, expected).map { operand, form in
          TensorExpression(TensorComputation(operation, operand, form))
        }
      }
      precondition(results.map(\.form) == expected, "views have the shapes that the plan states")
    }
    return results
  }

  private static func apply(
    _ operation: TensorOperation,
    to operands: [TensorExpression]
  ) throws(TesseraError) -> [TensorExpression]? {
    switch operation {
    case .permute(let axes): return operands.map { $0.permuted(axes) }
    case .reshape(_, let shape): return all(operands.map { $0.reshaped(to: shape) })
    case .permuteBlocks(let axis, let order):
      return all(operands.map { $0.blocksPermuted(axis: axis, order) })
    case .split(let axis, let sizes):
      return regroup(operands, axis, sizes, [sizes.count], sizes.map { _ in 1 })
    case .concatenate(let axis, let sizes):
      return regroup(operands, axis, sizes, sizes.map { _ in 1 }, [sizes.count])
    case .regroup(let axis, let sizes, let from, let to):
      return regroup(operands, axis, sizes, from, to)
    case .each(let chains):
      var results: [TensorExpression] = []
      for (chain, operand) in zip(chains, operands) { results += try apply(chain, to: [operand]) }
      return results
    case .cast(_, let type): return operands.map { $0.appending(.cast(type)) }
    case .map(let map): return operands.map { $0.appending(.map(map)) }
    case .affine(let scale, let offset):
      return operands.map { $0.appending(.affine(scale: scale, offset: offset)) }
    case .viewReal, .viewComplex, .conjugatePairs, .conjugateHalf, .deduplicate, .repeat:
      return nil
    }
  }

  private static func regroup(
    _ operands: [TensorExpression],
    _ axis: Int,
    _ sizes: [Int],
    _ from: [Int],
    _ to: [Int]
  ) -> [TensorExpression]? {
    var pieces: [TensorExpression?] = []
    for (operand, count) in zip(operands, from) {
      var start = 0
      for size in sizes[pieces.count..<pieces.count + count] {
        pieces.append(count == 1 ? operand : operand.sliced(axis: axis, start..<start + size))
        start += size
      }
    }
    guard let parts = all(pieces) else { return nil }
    var start = 0
    return all(
      to.map { count in
        defer { start += count }
        return joined(Array(parts[start..<start + count]), axis: axis)
      }
    )
  }

  private static func joined(_ operands: [TensorExpression], axis: Int) -> TensorExpression? {
    if operands.count == 1 { return operands[0] }
    guard operands.allSatisfy({ $0.parts.count == 1 || $0.axis == axis }) else { return nil }
    return TensorExpression(axis: axis, parts: operands.flatMap(\.parts))
  }

  private static func all<Element>(_ elements: [Element?]) -> [Element]? {
    let present = elements.compactMap { $0 }
    return present.count == elements.count ? present : nil
  }

  private func appending(_ step: ElementPipeline.Step) -> TensorExpression {
    TensorExpression(axis: axis, parts: parts.map { $0.appending(step) })
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
    case .cast(let from, let to): from == to
    default: false
    }
  }

  /// Whether a view of a whole tensor can show the result.
  fileprivate var isView: Bool {
    switch self {
    case .viewReal, .viewComplex, .conjugatePairs, .conjugateHalf, .deduplicate, .repeat: false
    default: true
    }
  }
}
