import TesseraCheckpoints
import TesseraCore

/// What a view looks at.
enum TensorSource: Sendable {
  /// A tensor of the checkpoint.
  case stored(TensorInfo)
  /// A tensor that has to be in memory as a whole.
  case computed(TensorComputation)

  var elementType: ElementType {
    switch self {
    case .stored(let tensor): tensor.elementType
    case .computed(let computation): computation.form.elementType
    }
  }

  var shape: Shape {
    switch self {
    case .stored(let tensor): tensor.shape
    case .computed(let computation): computation.form.shape
    }
  }

  /// The name of the stored tensor, or of the first one behind a computed one.
  var name: String {
    switch self {
    case .stored(let tensor): tensor.name
    case .computed(let computation): computation.operand?.parts.first?.source.name ?? ""
    }
  }

  /// The most memory that whole tensors take until this one is there, itself included, in bytes.
  var wholeByteCount: Int {
    switch self {
    case .stored: 0
    case .computed(let computation): computation.peakByteCount
    }
  }
}

/// A tensor that operations make from whole tensors in memory.
final class TensorComputation: Sendable {
  /// What is done; nil brings the operand into memory as it is.
  let operation: TensorOperation?
  /// What the operation applies to; nil where the values are known.
  let operand: TensorExpression?
  /// Extents and type of the result.
  let form: TensorForm
  /// The most memory that is held at a time, in bytes.
  ///
  /// First the operand with what it is made from, then the operand with the result. What the
  /// operation only sees differently is the operand's own bytes.
  let peakByteCount: Int
  /// The values, where nothing is computed.
  let known: Known?

  /// Values that no operand is read for.
  enum Known: Sendable {
    /// One value for every element.
    case all(ImpliedTensor.Value)
    /// The tensor itself.
    case stated(Tensor)
  }

  /// A tensor in memory as it is.
  convenience init(of expression: TensorExpression) { self.init(nil, expression, expression.form) }

  /// A tensor of one value.
  convenience init(filling form: TensorForm, with value: ImpliedTensor.Value) {
    self.init(nil, nil, form, known: .all(value))
  }

  /// A tensor whose values are known.
  convenience init(stating tensor: Tensor) {
    self.init(
      nil,
      nil,
      TensorForm(shape: tensor.shape, elementType: tensor.elementType),
      known: .stated(tensor)
    )
  }

  /// The result of an operation on one tensor.
  init(
    _ operation: TensorOperation?,
    _ operand: TensorExpression?,
    _ form: TensorForm,
    known: Known? = nil
  ) {
    (self.known, self.operation, self.operand, self.form) = (known, operation, operand, form)
    let isShared = operand != nil && operation?.keepsBytes ?? true
    let result = isShared ? 0 : form.byteCount
    peakByteCount = (operand?.form.byteCount ?? 0) + max(operand?.wholeByteCount ?? 0, result)
  }
}

extension TensorForm {
  /// The bytes of all elements.
  var byteCount: Int {
    shape.elementCount.flatMap { elementType.byteCount(elements: $0) } ?? 0
  }
}

extension TensorOperation {
  /// Whether the bytes of a whole tensor are those of the result.
  fileprivate var keepsBytes: Bool {
    switch self {
    case .conjugatePairs, .conjugateHalf, .deduplicate, .repeat: false
    default: true
    }
  }

  /// The result of an operation on a whole tensor.
  ///
  /// - Throws: `TesseraError` where its values do not have the structure that it needs.
  func evaluate(_ tensor: Tensor, to form: TensorForm) throws(TesseraError) -> Tensor {
    let bytes: [UInt8]
    switch self {
    case .conjugatePairs(let axis):
      bytes = AxisBlocks(tensor, axis: axis).mapped(into: form) { block, result in
        result += block
        result += AxisBlocks.conjugate(block, tensor)
      }
    case .conjugateHalf(let axis):
      let blocks = AxisBlocks(tensor, axis: axis)
      guard
        blocks.allSatisfy({ block in
          let (first, second) = (block.prefix(block.count / 2), block.suffix(block.count / 2))
          return second.elementsEqual(AxisBlocks.conjugate(first, tensor))
        })
      else { throw refusal([tensor.shape], "the second half is not the conjugate of the first") }
      bytes = blocks.mapped(into: form) { $1 += $0.prefix($0.count / 2) }
    case .deduplicate(let axis, let count):
      let blocks = AxisBlocks(tensor, axis: axis)
      guard
        blocks.allSatisfy({ block in
          let size = block.count / count
          return block.dropFirst(size).elementsEqual(block.dropLast(size))
        })
      else { throw refusal([tensor.shape], "the parts along the axis are not equal") }
      bytes = blocks.mapped(into: form) { $1 += $0.prefix($0.count / count) }
    case .repeat(let axis, let count):
      bytes = AxisBlocks(tensor, axis: axis).mapped(into: form) { block, result in
        for _ in 0..<count { result += block }
      }
    default: bytes = tensor.bytes
    }
    return Tensor(elementType: form.elementType, shape: form.shape, bytes: bytes)
  }
}

/// The bytes of a tensor in runs that each hold one axis and all axes inside of it.
private struct AxisBlocks {
  private let bytes: [UInt8]
  private let size: Int

  init(_ tensor: Tensor, axis: Int) {
    bytes = tensor.bytes
    let inner = Shape(Array(tensor.shape.dimensions[axis...])).elementCount ?? 0
    size = max(inner * tensor.elementType.bitWidth / 8, 1)
  }

  /// The bytes of a result to which each run adds its part; memory for them is taken once.
  func mapped(into form: TensorForm, _ add: (ArraySlice<UInt8>, inout [UInt8]) -> Void) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(form.byteCount)
    for start in stride(from: 0, to: bytes.count, by: size) {
      add(bytes[start..<start + size], &result)
    }
    return result
  }

  func allSatisfy(_ isTrue: (ArraySlice<UInt8>) -> Bool) -> Bool {
    stride(from: 0, to: bytes.count, by: size).allSatisfy { isTrue(bytes[$0..<$0 + size]) }
  }

  /// Little-endian elements with the sign of the imaginary part turned; real ones are unchanged.
  static func conjugate(_ bytes: ArraySlice<UInt8>, _ tensor: Tensor) -> some Sequence<UInt8> {
    let isComplex = [.complex64, .complex128].contains(tensor.elementType)
    let last = isComplex ? tensor.elementType.bitWidth / 8 - 1 : bytes.count
    let period = isComplex ? last + 1 : max(bytes.count, 1)
    return bytes.enumerated().lazy.map { place, byte in
      place % period == last ? byte ^ 0x80 : byte
    }
  }
}
