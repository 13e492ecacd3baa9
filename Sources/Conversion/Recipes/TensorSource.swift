import Readers
import Tensors

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
    case .computed(let computation): computation.operands.first?.parts.first?.source.name ?? ""
    }
  }

  /// The memory that whole tensors take until this one is there, in bytes.
  var wholeByteCount: Int {
    switch self {
    case .stored: 0
    case .computed(let computation): computation.byteCount
    }
  }
}

/// A tensor that operations make from whole tensors in memory.
final class TensorComputation: Sendable {
  /// What is done; nil brings the operand into memory as it is.
  let operation: TensorOperation?
  let operands: [TensorExpression]
  /// Which of the operation's results this is.
  let result: Int
  /// Extents and type of the result.
  let form: TensorForm
  /// The memory it takes, its operands included.
  let byteCount: Int
  /// The value of every element, where nothing is computed.
  let fill: ImpliedTensor.Value?

  convenience init(of expression: TensorExpression) {
    self.init(nil, [expression], result: 0, expression.form)
  }

  convenience init(filling form: TensorForm, with value: ImpliedTensor.Value) {
    self.init(nil, [], result: 0, form, fill: value)
  }

  init(
    _ operation: TensorOperation?,
    _ operands: [TensorExpression],
    result: Int,
    _ form: TensorForm,
    fill: ImpliedTensor.Value? = nil
  ) {
    self.fill = fill
    self.operation = operation
    self.operands = operands
    self.result = result
    self.form = form
    let inputs = operands.reduce(0) { $0 + $1.form.byteCount + $1.wholeByteCount }
    byteCount = operation == nil && fill == nil ? inputs : inputs + form.byteCount
  }
}

extension TensorForm {
  /// The bytes of all elements.
  var byteCount: Int {
    shape.elementCount.flatMap { elementType.byteCount(elements: $0) } ?? 0
  }
}

extension TensorOperation {
  /// The result of an operation on whole tensors.
  ///
  /// - Throws: `OperationError` where their values do not have the structure that it needs.
  func evaluate(_ tensors: [Tensor], to form: TensorForm) throws(OperationError) -> Tensor {
    guard let tensor = tensors.first else { throw refusal([TensorForm](), "needs a tensor") }
    let bytes: [UInt8]
    switch self {
    case .conjugatePairs(let axis):
      bytes = AxisBlocks(tensor, axis: axis).mapped { $0 + AxisBlocks.conjugate($0, tensor) }
    case .conjugateHalf(let axis):
      let blocks = AxisBlocks(tensor, axis: axis)
      guard
        blocks.allSatisfy({ block in
          let half = block.count / 2
          return Array(block[half...]) == AxisBlocks.conjugate(Array(block[..<half]), tensor)
        })
      else { throw refusal([tensor.shape], "the second half is not the conjugate of the first") }
      bytes = blocks.mapped { Array($0[..<($0.count / 2)]) }
    case .deduplicate(let axis, let count):
      let blocks = AxisBlocks(tensor, axis: axis)
      guard
        blocks.allSatisfy({ block in
          let size = block.count / count
          return block.dropFirst(size).elementsEqual(block.dropLast(size))
        })
      else { throw refusal([tensor.shape], "the parts along the axis are not equal") }
      bytes = blocks.mapped { Array($0[..<($0.count / count)]) }
    case .repeat(let axis, let count):
      bytes = AxisBlocks(tensor, axis: axis).mapped { block in
        (0..<count).flatMap { _ in block }
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

  func mapped(_ change: ([UInt8]) -> [UInt8]) -> [UInt8] {
    stride(from: 0, to: bytes.count, by: size).flatMap { change(Array(bytes[$0..<$0 + size])) }
  }

  func allSatisfy(_ isTrue: ([UInt8]) -> Bool) -> Bool {
    stride(from: 0, to: bytes.count, by: size).allSatisfy { isTrue(Array(bytes[$0..<$0 + size])) }
  }

  /// Little-endian elements with the sign of the imaginary part turned; real ones are unchanged.
  static func conjugate(_ bytes: [UInt8], _ tensor: Tensor) -> [UInt8] {
    guard [.complex64, .complex128].contains(tensor.elementType) else { return bytes }
    var turned = bytes
    let width = tensor.elementType.bitWidth / 8
    for last in stride(from: width - 1, to: bytes.count, by: width) { turned[last] ^= 0x80 }
    return turned
  }
}
