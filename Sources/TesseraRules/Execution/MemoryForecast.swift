package import TesseraCheckpoints
import TesseraCore

/// The memory that a conversion will take, estimated from its plan.
///
/// The parts that grow with a checkpoint are its names and, where a tensor must pass as a whole, the
/// largest tensor; the rest is the same for every conversion.
package struct MemoryForecast: Sendable, Hashable {
  /// The program without work, measured: code, runtime, libraries.
  private static let programBytes = 34 << 20
  /// What one tensor's names, places and plan take, measured.
  private static let bytesPerTensor = 640
  /// The largest chunk cache of compressed HDF5.
  private static let chunkCacheBytes = 32 << 20

  /// The bytes of the buffers that will be touched.
  package let bufferBytes: Int
  /// The peak of the resident memory in bytes.
  package let peakBytes: Int

  /// Estimates the memory of a plan.
  ///
  /// - Parameters:
  ///   - plan: What will be done.
  ///   - checkpoint: The source.
  ///   - quantized: The names of the results that are stored as blocks.
  package init(
    _ plan: ConversionPlan,
    reading checkpoint: any CheckpointReader,
    quantized: Set<String> = []
  ) {
    // The hash of the source has a buffer of its own.
    var buffers = 1 << 20
    var whole = 0
    var source = 0
    var output = 0
    for result in plan.outputs {
      let sizes = result.bufferSizes
      source = max(source, sizes.source)
      output = max(output, sizes.output)
      whole = max(whole, result.wholeByteCount)
      guard quantized.contains(result.tensor.name), result.isPutTogether else { continue }
      whole = max(whole, result.byteCount + result.wholeByteCount)
    }
    buffers += source + output + whole
    let isChunked = checkpoint.format.contains("h5") || checkpoint.format.hasPrefix("keras")
    let largest = checkpoint.tensors.compactMap(\.storedByteCount).max() ?? 0
    if isChunked || checkpoint.format == "hdf5" {
      buffers += min(largest, Self.chunkCacheBytes) / 8
    }
    let names = (checkpoint.tensors.count + plan.outputs.count) * Self.bytesPerTensor
    bufferBytes = buffers
    peakBytes = Self.programBytes + names + buffers
  }
}

extension TensorInfo {
  fileprivate var storedByteCount: Int? {
    shape.elementCount.flatMap { elementType.byteCount(elements: $0) }
  }
}

extension ConversionPlan.Output {
  /// Whether the result, as blocks, is put together in memory before it is written.
  fileprivate var isPutTogether: Bool {
    guard case .expression(let expression) = content else { return false }
    return streaming != .bytes || expression.cutsBlocks(of: .q8_0)
  }

  /// How much of the two buffers of a conversion this result touches.
  fileprivate var bufferSizes: (source: Int, output: Int) {
    guard case .expression(let expression) = content else {
      return (0, min(byteCount, TransferBuffers.tileSize))
    }
    var sizes = (source: 0, output: 0)
    for transfer in TensorTransfer.all(of: expression) {
      let limit = transfer.isRun ? TransferBuffers.pieceSize : TransferBuffers.tileSize
      let widest = max(transfer.width, transfer.outputWidth, 1)
      let count = min(transfer.count, limit / widest)
      let isMoved = !transfer.isRun
      let isPassed = !transfer.pipeline.steps.isEmpty
      let read = count * (isMoved && isPassed ? widest : transfer.width)
      sizes.source = max(sizes.source, read)
      let written = isMoved ? count * widest : isPassed ? count * transfer.outputWidth : 0
      sizes.output = max(sizes.output, written)
    }
    return sizes
  }
}
