import TesseraCheckpoints
import TesseraCore

/// An operation of a recipe, whose sizes are expressions until a checkpoint gives them.
indirect enum RecipeOperation: Hashable, Sendable {
  case permute([Int])
  case reshape([SizeExpression])
  case permuteBlocks(axis: Int, order: [Int])
  case split(axis: Int, sizes: [SizeExpression])
  case concatenate(axis: Int)
  case regroup(axis: Int, sizes: [SizeExpression], from: [Int], to: [Int])
  case each([[RecipeOperation]])
  case map(ElementMap)
  case affine(scale: Double, offset: Double)
  case viewReal, viewComplex
  case conjugatePairs(Int), conjugateHalf(Int)
  case `repeat`(axis: Int, count: SizeExpression)
  case deduplicate(axis: Int, count: SizeExpression)

  /// The shapes of tensors as a recipe writes them.
  typealias Shapes = [[SizeExpression]]

  /// What is done to tensors of these forms, once all sizes are known.
  func operation(
    _ forms: [TensorForm],
    _ sizes: [String: Int]
  ) throws(TesseraError) -> TensorOperation {
    func value(_ expression: SizeExpression) throws(TesseraError) -> Int {
      guard let value = expression.value(sizes), value >= 0 else {
        let missing = expression.names.first { sizes[$0] == nil }
        let hint = missing.map {
          ": '\($0)' follows from no shape of this rule; rules share the sizes that the recipe declares "
            + "under 'sizes', and --set \($0)=N gives one of those"
        }
        let cause = "the size '\(expression)' is not known or not whole\(hint ?? "")"
        throw TesseraError.mismatch(cause)
      }
      return value
    }
    func values(_ expressions: [SizeExpression]) throws(TesseraError) -> [Int] {
      var values: [Int] = []
      for expression in expressions { values.append(try value(expression)) }
      return values
    }
    switch self {
    case .permute(let axes): return .permute(axes)
    case .reshape(let extents):
      return .reshape(from: forms.first?.shape ?? [], to: Shape(try values(extents)))
    case .permuteBlocks(let axis, let order): return .permuteBlocks(axis: axis, order: order)
    case .split(let axis, let extents): return .split(axis: axis, sizes: try values(extents))
    case .concatenate(let axis):
      let extents = forms.map { axis < $0.shape.rank ? $0.shape[axis] : 0 }
      return .concatenate(axis: axis, sizes: extents)
    case .regroup(let axis, let extents, let from, let to):
      return .regroup(axis: axis, sizes: try values(extents), from: from, to: to)
    case .each(let chains):
      var operations: [[TensorOperation]] = []
      for (chain, form) in zip(chains, forms) {
        operations.append(try RecipeOperation.operations(chain, on: [form], sizes))
      }
      return .each(operations)
    case .map(let map): return .map(map)
    case .affine(let scale, let offset): return .affine(scale: scale, offset: offset)
    case .viewReal: return .viewReal
    case .viewComplex: return .viewComplex
    case .conjugatePairs(let axis): return .conjugatePairs(axis: axis)
    case .conjugateHalf(let axis): return .conjugateHalf(axis: axis)
    case .repeat(let axis, let count): return .repeat(axis: axis, count: try value(count))
    case .deduplicate(let axis, let count): return .deduplicate(axis: axis, count: try value(count))
    }
  }

  /// A chain of operations, each on what the one before gives.
  static func operations(
    _ chain: [RecipeOperation],
    on forms: [TensorForm],
    _ sizes: [String: Int]
  ) throws(TesseraError) -> [TensorOperation] {
    var forms = forms
    var result: [TensorOperation] = []
    for step in chain {
      let operation = try step.operation(forms, sizes)
      do {
        forms = try operation.forms(after: forms)
      } catch {
        throw TesseraError.mismatch(error.description)
      }
      result.append(operation)
    }
    return result
  }

  /// The operation that undoes this one on tensors of these shapes.
  func inverse(of shapes: Shapes?) throws(TesseraError) -> RecipeOperation {
    switch self {
    case .permute(let axes): return .permute(RecipeOperation.inverted(axes))
    case .reshape: return .reshape(try known(shapes)[0])
    case .permuteBlocks(let axis, let order):
      return .permuteBlocks(axis: axis, order: RecipeOperation.inverted(order))
    case .split(let axis, _): return .concatenate(axis: axis)
    case .concatenate(let axis):
      let shapes = try known(shapes)
      guard shapes.allSatisfy({ axis < $0.count }) else {
        throw TesseraError.malformed("no axis \(axis)")
      }
      return .split(axis: axis, sizes: shapes.map { $0[axis] })
    case .regroup(let axis, let sizes, let from, let to):
      return .regroup(axis: axis, sizes: sizes, from: to, to: from)
    case .each(let chains):
      var inverses: [[RecipeOperation]] = []
      for (index, chain) in chains.enumerated() {
        let shape = shapes.flatMap { index < $0.count ? [$0[index]] : nil }
        inverses.append(try RecipeOperation.inverse(of: chain, on: shape).operations)
      }
      return .each(inverses)
    case .map(let map): return .map(map.inverse)
    case .affine(let scale, let offset): return .affine(scale: 1 / scale, offset: -offset / scale)
    case .viewReal: return .viewComplex
    case .viewComplex: return .viewReal
    case .conjugatePairs(let axis): return .conjugateHalf(axis)
    case .conjugateHalf(let axis): return .conjugatePairs(axis)
    case .repeat(let axis, let count): return .deduplicate(axis: axis, count: count)
    case .deduplicate(let axis, let count): return .repeat(axis: axis, count: count)
    }
  }

  /// The chain that undoes a chain, and the shapes that the chain gives.
  static func inverse(
    of chain: [RecipeOperation],
    on shapes: Shapes?
  ) throws(TesseraError) -> (operations: [RecipeOperation], shapes: Shapes?) {
    var shapes = shapes
    var result: [RecipeOperation] = []
    for step in chain {
      result.insert(try step.inverse(of: shapes), at: 0)
      shapes = try shapes.map { (given) throws(TesseraError) in try step.shapes(after: given) }
    }
    return (result, shapes)
  }

  private func known(_ shapes: Shapes?) throws(TesseraError) -> Shapes {
    guard let shapes, !shapes.isEmpty else {
      throw TesseraError.malformed("this operation can be undone only where the rule states shapes")
    }
    return shapes
  }

  private static func inverted(_ order: [Int]) -> [Int] {
    var inverse = [Int](repeating: 0, count: order.count)
    for (position, index) in order.enumerated() where inverse.indices.contains(index) {
      inverse[index] = position
    }
    return inverse
  }

  /// The shapes that the operation gives for others.
  private func shapes(after shapes: Shapes) throws(TesseraError) -> Shapes {
    guard let first = shapes.first else {
      throw TesseraError.malformed("no tensor is left for an operation")
    }
    func resized(_ axis: Int, _ extent: SizeExpression) throws(TesseraError) -> Shapes {
      [try RecipeOperation.resized(first, axis, extent)]
    }
    func extent(_ axis: Int) throws(TesseraError) -> SizeExpression {
      guard first.indices.contains(axis) else {
        throw TesseraError.malformed("there is no axis \(axis)")
      }
      return first[axis]
    }
    switch self {
    case .permute(let axes):
      guard shapes.allSatisfy({ $0.indices.sorted() == axes.sorted() }) else {
        throw TesseraError.malformed("permute \(axes) does not fit the rule's shape")
      }
      return shapes.map { shape in axes.map { shape[$0] } }
    case .reshape(let extents): return shapes.map { _ in extents }
    case .permuteBlocks, .map, .affine: return shapes
    case .split(let axis, let sizes):
      return try RecipeOperation.parts(of: first, axis, sizes)
    case .concatenate(let axis):
      guard shapes.allSatisfy({ $0.indices.contains(axis) }) else {
        throw TesseraError.malformed("there is no axis \(axis)")
      }
      return try resized(axis, RecipeOperation.sum(shapes.map { $0[axis] }))
    case .regroup(let axis, let sizes, _, let to):
      guard to.reduce(0, +) == sizes.count else {
        throw TesseraError.malformed("regroup: not so many sizes")
      }
      return try RecipeOperation.parts(of: first, axis, RecipeOperation.sums(of: sizes, in: to))
    case .each(let chains): return try RecipeOperation.shapes(after: shapes, chains)
    case .viewReal: return shapes.map { $0 + [.number(2)] }
    case .viewComplex: return shapes.map { Array($0.dropLast()) }
    case .conjugatePairs(let axis):
      return try resized(axis, .binary("*", .number(2), try extent(axis)))
    case .conjugateHalf(let axis):
      return try resized(axis, .binary("/", try extent(axis), .number(2)))
    case .repeat(let axis, let count): return try resized(axis, count)
    case .deduplicate(let axis, _): return try resized(axis, .number(1))
    }
  }

  /// The shapes that chains give, each of its own tensor.
  private static func shapes(
    after shapes: Shapes,
    _ chains: [[RecipeOperation]]
  ) throws(TesseraError) -> Shapes {
    guard chains.count == shapes.count else {
      throw TesseraError.malformed("each: not so many tensors")
    }
    var results: Shapes = []
    for (chain, shape) in zip(chains, shapes) {
      var current: Shapes = [shape]
      for step in chain { current = try step.shapes(after: current) }
      results += current
    }
    return results
  }

  private static func resized(
    _ shape: [SizeExpression],
    _ axis: Int,
    _ extent: SizeExpression
  ) throws(TesseraError) -> [SizeExpression] {
    guard shape.indices.contains(axis) else {
      throw TesseraError.malformed("there is no axis \(axis)")
    }
    var shape = shape
    shape[axis] = extent
    return shape
  }

  private static func parts(
    of shape: [SizeExpression],
    _ axis: Int,
    _ extents: [SizeExpression]
  ) throws(TesseraError) -> Shapes {
    var parts: Shapes = []
    for extent in extents { parts.append(try resized(shape, axis, extent)) }
    return parts
  }

  /// The sums of sizes that follow each other, so many for each.
  private static func sums(of sizes: [SizeExpression], in counts: [Int]) -> [SizeExpression] {
    var start = 0
    return counts.map { count in
      defer { start += count }
      return sum(Array(sizes[start..<start + count]))
    }
  }

  private static func sum(_ sizes: [SizeExpression]) -> SizeExpression {
    sizes.dropFirst().reduce(sizes.first ?? .number(0)) { .binary("+", $0, $1) }
  }
}
