import TesseraCheckpoints
import TesseraCore

extension CheckpointConversion {
  /// The bytes that are copied between two reports of progress.
  private static let stepSize = 64 << 20

  /// Copies a result that is one stored tensor as it lies from file to file.
  ///
  /// - Returns: False where the data must pass through the program; then nothing counts as done.
  func copyDirectly(
    _ expression: TensorExpression,
    to index: Int,
    of file: inout CheckpointFile,
    _ progress: (Int) -> Void
  ) throws -> Bool {
    let transfers = TensorTransfer.all(of: expression)
    guard transfers.count == 1, let transfer = transfers.first, transfer.isRun,
      transfer.pipeline.steps.isEmpty, transfer.outputOffset == 0,
      case .stored(let tensor) = transfer.source,
      let providing = checkpoint as? any FileRunProviding,
      let run = providing.fileRun(of: tensor)
    else { return false }
    let bits = tensor.elementType.bitWidth
    let start = transfer.sourceOffset * bits / 8
    let count = transfer.count * bits / 8
    guard start + count <= run.count else { return false }
    var done = 0
    while done < count {
      let step = min(CheckpointConversion.stepSize, count - done)
      let copied = try file.copy(
        step,
        from: run.descriptor,
        at: run.offset + start + done,
        to: done,
        of: index
      )
      // Copied bytes are copied again by the reader, which also says what is wrong.
      guard copied == step else {
        progress(-done)
        return false
      }
      done += step
      progress(step)
    }
    return true
  }
}
