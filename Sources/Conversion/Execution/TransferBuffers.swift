import Readers
import Tensors

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

  /// Makes one transfer.
  func perform(_ transfer: TensorTransfer, _ sink: Sink) throws {
    if transfer.isRun { return try unsafe copyRun(transfer, sink) }
    let extents = transfer.tileExtents(byteLimit: TransferBuffers.tileSize)
    var start = [Int](repeating: 0, count: extents.count)
    repeat {
      let tile = TransferTile(transfer, start: start, extents: extents)
      for run in tile.reads {
        let bytes = run.slot * transfer.width..<(run.slot + run.count) * transfer.width
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: source[bytes])
        let elements = run.source..<run.source + run.count
        try unsafe reader.read(elements, of: transfer.source, into: part)
      }
      unsafe tile.gather(from: UnsafeRawBufferPointer(source), to: output)
      for run in tile.writes {
        let bytes = run.slot * transfer.width..<(run.slot + run.count) * transfer.width
        let part = unsafe UnsafeRawBufferPointer(rebasing: output[bytes])
        try unsafe sink(part, run.output * transfer.width)
      }
    } while TransferBuffers.advance(&start, by: extents, within: transfer.axes.map(\.extent))
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

  private func copyRun(_ transfer: TensorTransfer, _ sink: Sink) throws {
    let bits = transfer.source.elementType.bitWidth
    // A multiple of 8 elements, so that pieces of sub-byte types are whole bytes.
    let piece = TransferBuffers.pieceSize / bits * 8
    let end = transfer.sourceOffset + transfer.count
    for first in stride(from: transfer.sourceOffset, to: end, by: piece) {
      let elements = first..<min(first + piece, end)
      let size = elements.count * bits / 8
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: source[..<size])
      try unsafe reader.read(elements, of: transfer.source, into: part)
      let done = transfer.outputOffset + first - transfer.sourceOffset
      try unsafe sink(UnsafeRawBufferPointer(part), done * bits / 8)
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
