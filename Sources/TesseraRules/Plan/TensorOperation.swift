package import TesseraCore

/// What recipes are made of: a change of layout, or a function of every element.
///
/// An operation takes a list of tensors and gives a list, and has an inverse. Where its class is
/// exact, `operation.inverse` after `operation` gives the same bytes.
package indirect enum TensorOperation: Hashable, Sendable {
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
  /// Cuts tensors into pieces of these extents along an axis, and joins the pieces anew, in order:
  /// `from[i]` pieces make tensor `i` of the list, `to[i]` pieces tensor `i` of the result.
  case regroup(axis: Int, sizes: [Int], from: [Int], to: [Int])
  /// Applies to each tensor of the list its own operations, each of which gives one tensor.
  case each([[TensorOperation]])
  /// Brings elements into another floating-point type, rounded to the nearest, ties to even.
  /// Applies to each tensor of the list.
  case cast(from: ElementType, to: ElementType)
  /// Applies a function to each element of each tensor of the list.
  case map(ElementMap)
  /// Makes `scale · x + offset` of each element of each tensor of the list.
  case affine(scale: Double, offset: Double)
  /// Sees a complex tensor as a real one with a last axis of 2, real part first.
  case viewReal
  /// Sees a real tensor with a last axis of 2 as a complex one.
  case viewComplex
  /// Appends the complex conjugates along an axis. The inverse keeps the first half, and refuses
  /// tensors whose second half is not its conjugate.
  case conjugatePairs(axis: Int)
  /// Keeps the first of two halves that are conjugates of each other.
  case conjugateHalf(axis: Int)
  /// Keeps one of equal tensors that follow one another along an axis, which becomes an extent of 1.
  /// Refuses others. The inverse is `repeat`.
  case deduplicate(axis: Int, count: Int)
  /// Repeats an extent of 1 along an axis.
  case `repeat`(axis: Int, count: Int)

  /// Exchanges the two axes of a matrix.
  package static let transpose = TensorOperation.permute([1, 0])

  /// The operation that undoes this one.
  package var inverse: TensorOperation {
    switch self {
    case .permute(let axes): .permute(TensorOperation.inverted(axes))
    case .reshape(let from, let to): .reshape(from: to, to: from)
    case .permuteBlocks(let axis, let order):
      .permuteBlocks(axis: axis, order: TensorOperation.inverted(order))
    case .split(let axis, let sizes): .concatenate(axis: axis, sizes: sizes)
    case .concatenate(let axis, let sizes): .split(axis: axis, sizes: sizes)
    case .regroup(let axis, let sizes, let from, let to):
      .regroup(axis: axis, sizes: sizes, from: to, to: from)
    case .each(let chains): .each(chains.map { $0.reversed().map(\.inverse) })
    case .cast(let from, let to): .cast(from: to, to: from)
    case .map(let map): .map(map.inverse)
    case .affine(let scale, let offset): .affine(scale: 1 / scale, offset: -offset / scale)
    case .viewReal: .viewComplex
    case .viewComplex: .viewReal
    case .conjugatePairs(let axis): .conjugateHalf(axis: axis)
    case .conjugateHalf(let axis): .conjugatePairs(axis: axis)
    case .deduplicate(let axis, let count): .repeat(axis: axis, count: count)
    case .repeat(let axis, let count): .deduplicate(axis: axis, count: count)
    }
  }

  /// What it takes to undo the operation.
  package var reversibility: Reversibility {
    switch self {
    case .cast(let from, let to): from.isExact(in: to) ? .exact : .rounding
    case .map: .rounding
    case .affine(let scale, let offset): offset == 0 && abs(scale) == 1 ? .exact : .rounding
    case .each(let chains): chains.joined().map(\.reversibility).max() ?? .exact
    default: .exact
    }
  }

  private static func inverted(_ order: [Int]) -> [Int] {
    var inverse = [Int](repeating: 0, count: order.count)
    for (position, index) in order.enumerated() where inverse.indices.contains(index) {
      inverse[index] = position
    }
    return inverse
  }

  func refusal(_ shapes: [Shape], _ cause: String) -> TesseraError {
    let operands = shapes.map(\.description).joined(separator: ", ")
    return .mismatch(cause, place: "\(self) of \(operands)")
  }
}

extension TensorOperation: CustomStringConvertible {
  /// The operation as recipes write it: `permute(3,2,0,1)`.
  package var description: String {
    func list(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: ",") }
    return switch self {
    case .permute(let axes): "permute(\(list(axes)))"
    case .reshape(_, let to): "reshape(\(list(to.dimensions)))"
    case .permuteBlocks(let axis, let order): "permute_blocks(axis \(axis): \(list(order)))"
    case .split(let axis, let sizes): "split(axis \(axis): \(list(sizes)))"
    case .concatenate(let axis, let sizes): "concatenate(axis \(axis): \(list(sizes)))"
    case .regroup(let axis, let sizes, _, let to):
      "regroup(axis \(axis): \(list(sizes)) as \(list(to)))"
    case .each(let chains):
      "each(\(chains.map { $0.map(\.description).joined(separator: " ") }.joined(separator: "; ")))"
    case .cast(let from, let to): "cast(\(from.rawValue.lowercased())→\(to.rawValue.lowercased()))"
    case .map(let map): map.rawValue
    case .affine(let scale, let offset): "affine(\(scale),\(offset))"
    case .viewReal: "view_real"
    case .viewComplex: "view_complex"
    case .conjugatePairs(let axis): "conjugate_pairs(\(axis))"
    case .conjugateHalf(let axis): "conjugate_half(\(axis))"
    case .deduplicate(let axis, let count): "deduplicate(axis \(axis): \(count))"
    case .repeat(let axis, let count): "repeat(axis \(axis): \(count))"
    }
  }
}
