import TesseraCheckpoints
import TesseraCore

/// The memory of a conversion: two buffers, used again for every tile of every tensor.
@safe struct TransferBuffers: ~Copyable {
  /// The largest tile, in bytes; there are two such buffers.
  static let tileSize = 16 << 20
  /// The largest piece of a run, in bytes: it should stay in the processor's cache.
  static let pieceSize = 4 << 20

  /// Receives output bytes and their position in the tensor, in bytes.
  typealias Sink = (_ bytes: UnsafeRawBufferPointer, _ offset: Int) throws -> Void

  private let reader: any CheckpointReader
  private let source: UnsafeMutableRawBufferPointer
  private let output: UnsafeMutableRawBufferPointer

  init(reading reader: any CheckpointReader) {
    self.reader = reader
    unsafe source = .allocate(byteCount: TransferBuffers.tileSize, alignment: 4096)
    unsafe output = .allocate(byteCount: TransferBuffers.tileSize, alignment: 4096)
  }

  deinit {
    unsafe source.deallocate()
    unsafe output.deallocate()
  }

  /// Makes all transfers of an expression.
  func perform(_ expression: TensorExpression, _ sink: Sink) throws {
    for transfer in TensorTransfer.all(of: expression) {
      switch transfer.source {
      case .stored(let tensor):
        try unsafe perform(transfer, sink) { elements, part in
          try unsafe reader.read(elements, of: tensor, into: part)
        }
      case .computed(let computation):
        let bytes = try tensor(computation).bytes
        try unsafe perform(transfer, sink) { elements, part in
          let start = elements.lowerBound * transfer.width
          unsafe part.copyBytes(from: bytes[start..<start + part.count])
        }
      }
    }
  }

  /// A whole tensor in memory.
  private func tensor(_ computation: TensorComputation) throws -> Tensor {
    switch computation.known {
    case nil: break
    case .stated(let tensor): return tensor
    case .all(let value):
      let form = computation.form
      let element = value.bytes(as: form.elementType)
      var bytes: [UInt8] = []
      bytes.reserveCapacity(form.byteCount)
      for _ in 0..<(form.shape.elementCount ?? 0) { bytes += element }
      return Tensor(elementType: form.elementType, shape: form.shape, bytes: bytes)
    }
    guard let expression = computation.operand else {
      preconditionFailure("a computed tensor has an operand or known values")
    }
    let operand = Tensor(
      elementType: expression.elementType,
      shape: expression.shape,
      bytes: try whole(expression)
    )
    guard let operation = computation.operation else { return operand }
    do {
      return try operation.evaluate(operand, to: computation.form)
    } catch {
      let name = expression.parts.first?.source.name ?? ""
      throw TesseraError.mismatch(error.description, place: name)
    }
  }

  /// All bytes of an expression, put together in memory; `progress` is told how many have come.
  func whole(_ expression: TensorExpression, _ progress: (Int) -> Void = { _ in }) throws -> [UInt8]
  {
    var bytes = [UInt8](repeating: 0, count: expression.form.byteCount)
    try unsafe bytes.withUnsafeMutableBytes { bytes in
      try unsafe perform(expression) { part, offset in
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + part.count])
          .copyMemory(from: part)
        progress(part.count)
      }
    }
    return bytes
  }

  /// Reads a range of the source's elements.
  private typealias Read = (
    _ elements: Range<Int>, _ buffer: UnsafeMutableRawBufferPointer
  ) throws -> Void

  private func perform(_ transfer: TensorTransfer, _ sink: Sink, _ read: Read) throws {
    if transfer.isRun { return try unsafe copyRun(transfer, sink, read) }
    let width = transfer.outputWidth
    let extents = transfer.tileExtents(byteLimit: TransferBuffers.tileSize)
    var start = [Int](repeating: 0, count: extents.count)
    repeat {
      let tile = TransferTile(transfer, start: start, extents: extents)
      for run in tile.reads {
        let bytes = run.slot * transfer.width..<(run.slot + run.count) * transfer.width
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: source[bytes])
        try unsafe read(run.source..<run.source + run.count, part)
      }
      unsafe tile.gather(from: UnsafeRawBufferPointer(source), to: output)
      let result = try unsafe passed(output, through: transfer, count: tile.count, into: source)
      for run in tile.writes {
        let bytes = run.slot * width..<(run.slot + run.count) * width
        let part = unsafe UnsafeRawBufferPointer(rebasing: result[bytes])
        try unsafe sink(part, run.output * width)
      }
    } while TransferBuffers.advance(&start, by: extents, within: transfer.axes.map(\.extent))
  }

  /// The elements of one buffer after a transfer's steps, in the other one where there are any.
  private func passed(
    _ elements: UnsafeMutableRawBufferPointer,
    through transfer: TensorTransfer,
    count: Int,
    into other: UnsafeMutableRawBufferPointer
  ) throws -> UnsafeRawBufferPointer {
    if transfer.pipeline.steps.isEmpty { return UnsafeRawBufferPointer(elements) }
    do {
      let source = UnsafeRawBufferPointer(elements)
      try unsafe transfer.pipeline.run(source, into: other, count: count)
    } catch {
      throw error.about(transfer.source.name)
    }
    return UnsafeRawBufferPointer(other)
  }

  /// Fills a tensor with one value of the given bytes.
  func fill(_ value: [UInt8], count: Int, _ sink: Sink) throws {
    let total = value.count * count
    let piece = min(total, TransferBuffers.tileSize / value.count * value.count)
    for index in 0..<piece { unsafe output[index] = value[index % value.count] }
    for offset in stride(from: 0, to: total, by: max(piece, 1)) {
      let part = unsafe UnsafeRawBufferPointer(rebasing: output[..<min(piece, total - offset)])
      try unsafe sink(part, offset)
    }
  }

  private func copyRun(_ transfer: TensorTransfer, _ sink: Sink, _ read: Read) throws {
    let bits = transfer.source.elementType.bitWidth
    let outputBits = transfer.pipeline.output.bitWidth
    // A multiple of 8 elements, so that pieces of sub-byte types are whole bytes.
    let piece = TransferBuffers.pieceSize / max(bits, outputBits) * 8
    let end = transfer.sourceOffset + transfer.count
    for first in stride(from: transfer.sourceOffset, to: end, by: piece) {
      let elements = first..<min(first + piece, end)
      let size = elements.count * bits / 8
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: source[..<size])
      try unsafe read(elements, part)
      let result = try unsafe passed(
        part,
        through: transfer,
        count: elements.count,
        into: output
      )
      let done = transfer.outputOffset + first - transfer.sourceOffset
      let resultSize = elements.count * outputBits / 8
      try unsafe sink(
        UnsafeRawBufferPointer(rebasing: result[..<resultSize]),
        done * outputBits / 8
      )
    }
  }

  /// Moves to the next tile; false after the last one.
  private static func advance(_ start: inout [Int], by step: [Int], within extents: [Int]) -> Bool {
    for axis in start.indices.reversed() {
      start[axis] += step[axis]
      if start[axis] < extents[axis] { return true }
      start[axis] = 0
    }
    return false
  }
}
