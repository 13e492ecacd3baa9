package import TesseraCheckpoints
import TesseraCore

/// A plan's results compared with the tensors of another checkpoint, a tile at a time.
package struct CheckpointComparison: Sendable {
  /// One tensor of the results beside the one of the same name.
  package struct Tensor: Sendable, Hashable {
    /// The name.
    package let name: String
    /// What the plan gives.
    package let expected: TensorInfo
    /// What the other checkpoint holds.
    package let found: TensorInfo
    /// How far they are from each other; nil where the shapes differ.
    package let difference: TensorDifference?
    /// What it takes to undo the plan's operations.
    package let reversibility: Reversibility
    /// Whether the plan changes the type on the way.
    package let isCast: Bool
    /// The SHA-256 of the other checkpoint's bytes; nil where none was asked for or shapes differ.
    package let sha256: String?
  }

  /// The tensors that both have, in the order of the results.
  package let tensors: [Tensor]
  /// The names that only the results have.
  package let missing: [String]
  /// The names that only the other checkpoint has.
  package let extra: [String]

  /// Compares names, types and shapes alone.
  ///
  /// - Parameters:
  ///   - plan: What should be there.
  ///   - other: What is there.
  package init(ofNames plan: ConversionPlan, and other: any CheckpointReader) {
    let found = Dictionary(other.tensors.map { ($0.name, $0) }) { first, _ in first }
    let names = Set(plan.outputs.map(\.tensor.name))
    tensors = plan.outputs.compactMap { output in
      guard let tensor = found[output.tensor.name] else { return nil }
      return Tensor(
        name: tensor.name,
        expected: output.tensor,
        found: tensor,
        difference: tensor.shape == output.tensor.shape ? TensorDifference() : nil,
        reversibility: output.reversibility,
        isCast: output.isCast,
        sha256: nil
      )
    }
    missing = plan.outputs.map(\.tensor.name).filter { found[$0] == nil }
    extra = other.tensors.map(\.name).filter { !names.contains($0) }
  }

  private init(tensors: [Tensor], missing: [String], extra: [String]) {
    (self.tensors, self.missing, self.extra) = (tensors, missing, extra)
  }

  /// Compares.
  ///
  /// - Parameters:
  ///   - plan: A plan for `source`; the identity compares the checkpoints as they are.
  ///   - source: What is converted.
  ///   - other: What the result should be.
  ///   - isHashing: Whether to take the SHA-256 of each of the other's tensors.
  ///   - progress: Is told how many bytes of the results have been compared.
  /// - Returns: What was found.
  /// - Throws: The readers' errors, `TesseraError`.
  @concurrent package static func compare(
    _ plan: ConversionPlan,
    of source: any CheckpointReader,
    with other: any CheckpointReader,
    isHashing: Bool = false,
    progress: @Sendable (Int) -> Void = { _ in }
  ) async throws -> CheckpointComparison {
    let found = Dictionary(other.tensors.map { ($0.name, $0) }) { first, _ in first }
    let names = Set(plan.outputs.map(\.tensor.name))
    let buffers = TransferBuffers(reading: source)
    var tensors: [Tensor] = []
    var done = 0
    for output in plan.outputs {
      done += output.byteCount
      guard let tensor = found[output.tensor.name] else { continue }
      tensors.append(try compare(output, buffers, with: tensor, of: other, isHashing: isHashing))
      progress(done)
    }
    return CheckpointComparison(
      tensors: tensors,
      missing: plan.outputs.map(\.tensor.name).filter { found[$0] == nil },
      extra: other.tensors.map(\.name).filter { !names.contains($0) }
    )
  }

  private static func compare(
    _ output: ConversionPlan.Output,
    _ buffers: borrowing TransferBuffers,
    with tensor: TensorInfo,
    of other: any CheckpointReader,
    isHashing: Bool
  ) throws -> Tensor {
    var difference: TensorDifference?
    var hash: String?
    if output.tensor.shape == tensor.shape {
      var sum = TensorDifference()
      let piece = OtherPiece(tensor, of: other)
      try unsafe output.forEachPiece(buffers) { bytes, offset in
        try unsafe piece.compare(bytes, output.tensor.elementType, at: offset, &sum)
      }
      difference = sum
      if isHashing { hash = try other.sha256(of: tensor) }
    }
    return Tensor(
      name: tensor.name,
      expected: output.tensor,
      found: tensor,
      difference: difference,
      reversibility: output.reversibility,
      isCast: output.isCast,
      sha256: hash
    )
  }
}

extension ConversionPlan.Output {
  fileprivate var isCast: Bool {
    operations.contains { operation in
      if case .cast = operation { true } else { false }
    }
  }

  /// Passes on the bytes of the result in pieces, each with its offset in bytes.
  fileprivate func forEachPiece(
    _ buffers: borrowing TransferBuffers,
    _ body: TransferBuffers.Sink
  ) throws {
    switch content {
    case .expression(let expression): try unsafe buffers.perform(expression, body)
    case .constant(let value):
      let count = tensor.shape.elementCount ?? 0
      try unsafe buffers.fill(value.bytes(as: tensor.elementType), count: count, body)
    }
  }
}

/// A tensor of the other checkpoint, read in the pieces in which the results come.
@safe private final class OtherPiece {
  private let tensor: TensorInfo
  private let reader: any CheckpointReader
  private let buffer: UnsafeMutableRawBufferPointer
  private static let size = 1 << 20

  init(_ tensor: TensorInfo, of reader: any CheckpointReader) {
    (self.tensor, self.reader) = (tensor, reader)
    unsafe buffer = .allocate(byteCount: OtherPiece.size, alignment: 4096)
  }

  deinit { unsafe buffer.deallocate() }

  /// Compares bytes of the result with the elements at the same place.
  func compare(
    _ bytes: UnsafeRawBufferPointer,
    _ type: ElementType,
    at offset: Int,
    _ sum: inout TensorDifference
  ) throws {
    let first = offset * 8 / type.bitWidth
    let count = bytes.count * 8 / type.bitWidth
    // A multiple of 8 elements, so that pieces of sub-byte types are whole bytes.
    let step = OtherPiece.size / max(tensor.elementType.bitWidth, type.bitWidth) * 8
    for start in stride(from: 0, to: count, by: step) {
      let end = min(start + step, count)
      let size = (end - start) * tensor.elementType.bitWidth / 8
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<size])
      try unsafe reader.read(first + start..<first + end, of: tensor, into: part)
      let ours = start * type.bitWidth / 8..<end * type.bitWidth / 8
      unsafe sum.add(
        UnsafeRawBufferPointer(rebasing: bytes[ours]),
        type,
        UnsafeRawBufferPointer(part),
        tensor.elementType,
        at: first + start
      )
    }
  }
}

extension ConversionPlan {
  /// The plan with each floating-point result in the type that another checkpoint has for it.
  ///
  /// - Parameter other: A checkpoint with tensors of these names.
  /// - Returns: The plan; results without a counterpart keep their types.
  /// - Throws: `TesseraError` where a type is none of F64, F32, F16 and BF16.
  package func matchingTypes(of other: any CheckpointReader) throws -> ConversionPlan {
    let types = Dictionary(other.tensors.map { ($0.name, $0.elementType) }) { first, _ in first }
    var plan = self
    for type in [ElementType.float64, .float32, .float16, .bfloat16] {
      plan = try plan.casting(to: type) { types[$0] != type }
    }
    return plan
  }
}
