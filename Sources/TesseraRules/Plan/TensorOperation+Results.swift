package import TesseraCore

/// What is known of a tensor inside a conversion: extents and type.
package struct TensorForm: Hashable, Sendable {
  /// The extents.
  package let shape: Shape
  /// The type of the elements.
  package let elementType: ElementType

  func with(_ shape: Shape) -> TensorForm { TensorForm(shape: shape, elementType: elementType) }
  func with(_ type: ElementType) -> TensorForm { TensorForm(shape: shape, elementType: type) }
}

extension TensorOperation {
  /// The shapes of the results, without any data, for operations that keep the type.
  ///
  /// - Parameter shapes: The shapes of the operands, of float32.
  /// - Returns: One shape a result.
  /// - Throws: `TesseraError` where the operation does not apply to these shapes.
  package func shapes(after shapes: [Shape]) throws(TesseraError) -> [Shape] {
    try forms(after: shapes.map { TensorForm(shape: $0, elementType: .float32) }).map(\.shape)
  }

  /// The shapes and types of the results, without any data.
  ///
  /// - Parameter forms: The shapes and types of the operands.
  /// - Returns: One form a result.
  /// - Throws: `TesseraError` where the operation does not apply to these.
  package func forms(after forms: [TensorForm]) throws(TesseraError) -> [TensorForm] {
    switch self {
    case .split(let axis, let sizes):
      guard forms.count == 1 else { throw refusal(forms, "splits one tensor") }
      return try regrouped(forms, axis, sizes, [sizes.count], sizes.map { _ in 1 })
    case .concatenate(let axis, let sizes):
      return try regrouped(forms, axis, sizes, sizes.map { _ in 1 }, [sizes.count])
    case .regroup(let axis, let sizes, let from, let to):
      return try regrouped(forms, axis, sizes, from, to)
    case .each(let chains): return try each(chains, after: forms)
    default:
      var results: [TensorForm] = []
      for form in forms { results.append(try self.form(after: form)) }
      return results
    }
  }

  private func form(after form: TensorForm) throws(TesseraError) -> TensorForm {
    switch self {
    case .permute, .reshape, .permuteBlocks, .deduplicate, .repeat:
      return try moved(form)
    case .cast(let from, let to):
      guard form.elementType == from else {
        throw refusal([form], "the elements are \(form.elementType.rawValue)")
      }
      guard from == to || from.isCastable && to.isCastTarget else {
        throw refusal([form], "only floats are cast, to F64, F32, F16 or BF16")
      }
      return form.with(to)
    case .map, .affine:
      guard form.elementType.isCastTarget else {
        throw refusal([form], "elements of type \(form.elementType.rawValue) are no numbers for it")
      }
      return form
    case .viewReal, .viewComplex: return try seen(form)
    case .conjugatePairs(let axis), .conjugateHalf(let axis):
      return try conjugated(form, axis)
    case .split, .concatenate, .regroup, .each: return form
    }
  }

  private func moved(_ form: TensorForm) throws(TesseraError) -> TensorForm {
    let shape = form.shape
    switch self {
    case .permute(let axes):
      guard axes.sorted() == Array(0..<shape.rank) else {
        throw refusal([form], "the axes are no permutation of this rank")
      }
      return form.with(Shape(axes.map { shape[$0] }))
    case .reshape(let from, let to):
      guard shape == from, from.elementCount == to.elementCount else {
        throw refusal([form], "the shape differs or the number of elements changes")
      }
      return form.with(to)
    case .permuteBlocks(let axis, let order):
      guard order.sorted() == Array(0..<order.count), (0..<shape.rank).contains(axis),
        !order.isEmpty, shape[axis] % order.count == 0
      else { throw refusal([form], "the axis does not hold so many equal blocks") }
      return form
    case .deduplicate(let axis, let count):
      guard (0..<shape.rank).contains(axis), shape[axis] == count, count > 0 else {
        throw refusal([form], "the axis does not hold so many")
      }
      return form.with(resized(shape, axis, 1))
    case .repeat(let axis, let count):
      guard (0..<shape.rank).contains(axis), shape[axis] == 1, count > 0 else {
        throw refusal([form], "only an extent of 1 is repeated")
      }
      return form.with(resized(shape, axis, count))
    default: return form
    }
  }

  private func seen(_ form: TensorForm) throws(TesseraError) -> TensorForm {
    let types: [(ElementType, ElementType)] = [(.complex64, .float32), (.complex128, .float64)]
    if self == .viewReal {
      guard let (_, real) = types.first(where: { $0.0 == form.elementType }) else {
        throw refusal([form], "the elements are not complex")
      }
      return TensorForm(shape: Shape(form.shape.dimensions + [2]), elementType: real)
    }
    guard let (complex, _) = types.first(where: { $0.1 == form.elementType }),
      form.shape.dimensions.last == 2
    else { throw refusal([form], "needs float32 or float64 with a last axis of 2") }
    return TensorForm(shape: Shape(Array(form.shape.dimensions.dropLast())), elementType: complex)
  }

  private func conjugated(
    _ form: TensorForm,
    _ axis: Int
  ) throws(TesseraError) -> TensorForm {
    let shape = form.shape
    let types: [ElementType] = [.complex64, .complex128, .float32, .float64]
    guard types.contains(form.elementType), (0..<shape.rank).contains(axis) else {
      throw refusal([form], "needs this axis, and complex, float32 or float64 elements")
    }
    if self == .conjugatePairs(axis: axis) {
      let (doubled, overflow) = shape[axis].multipliedReportingOverflow(by: 2)
      guard !overflow else { throw refusal([form], "a shape that overflows") }
      return form.with(resized(shape, axis, doubled))
    }
    guard shape[axis] % 2 == 0 else { throw refusal([form], "an odd number has no halves") }
    return form.with(resized(shape, axis, shape[axis] / 2))
  }

  private func resized(_ shape: Shape, _ axis: Int, _ extent: Int) -> Shape {
    var dimensions = shape.dimensions
    dimensions[axis] = extent
    return Shape(dimensions)
  }

  private func each(
    _ chains: [[TensorOperation]],
    after forms: [TensorForm]
  ) throws(TesseraError) -> [TensorForm] {
    guard chains.count == forms.count else {
      throw refusal(forms, "\(chains.count) lists of operations for \(forms.count) tensors")
    }
    var results: [TensorForm] = []
    for (chain, form) in zip(chains, forms) {
      var current = [form]
      for operation in chain { current = try operation.forms(after: current) }
      guard current.count == 1 else { throw refusal(forms, "one of them gives several tensors") }
      results += current
    }
    return results
  }

  private func regrouped(
    _ forms: [TensorForm],
    _ axis: Int,
    _ sizes: [Int],
    _ from: [Int],
    _ to: [Int]
  ) throws(TesseraError) -> [TensorForm] {
    guard let first = forms.first, (0..<first.shape.rank).contains(axis),
      sizes.allSatisfy({ $0 >= 0 }), from.count == forms.count,
      from.reduce(0, +) == sizes.count, to.reduce(0, +) == sizes.count
    else { throw refusal(forms, "there is no such axis, or not so many parts") }
    guard Set(forms.map(\.elementType)).count == 1 else {
      throw refusal(forms, "the parts have different types")
    }
    func results(_ counts: [Int]) -> [TensorForm] {
      var start = 0
      return counts.map { count in
        defer { start += count }
        let extent = sizes[start..<start + count].reduce(0, +)
        return first.with(resized(first.shape, axis, extent))
      }
    }
    guard results(from) == forms else {
      let cause =
        forms.count == 1 ? "the sizes do not add up to the axis" : "the parts have other shapes"
      throw refusal(forms, cause)
    }
    return results(to)
  }

  func refusal(_ forms: [TensorForm], _ cause: String) -> TesseraError {
    refusal(forms.map(\.shape), cause)
  }
}
