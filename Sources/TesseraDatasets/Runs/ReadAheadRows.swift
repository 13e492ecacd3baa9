import Foundation

/// Rows that another thread reads while the caller works on those before.
///
/// At most ``mostBatches`` batches wait, each of ``batchBytes`` and one row, so memory stays bounded;
/// order and errors are those of the source.
struct ReadAheadRows: DatasetRows {
  var table: DatasetTable { source.table }
  private let source: any DatasetRows

  private static let batchBytes = 1 << 20
  /// How many batches wait for the caller.
  private static let mostBatches = 2

  init(_ source: any DatasetRows) { self.source = source }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    let queue = RowQueue(mostBatches: Self.mostBatches)
    let source = source
    let reader = Thread {
      do {
        try Self.read(source, into: queue)
        queue.end(nil)
      } catch {
        queue.end(error)
      }
    }
    reader.stackSize = 8 << 20
    reader.start()
    // The reader owns open files of its own; none is left to it after a return.
    defer { queue.cancel() }
    while let batch = try queue.next() { for row in batch { try body(row) } }
  }

  private static func read(_ source: any DatasetRows, into queue: RowQueue) throws {
    var batch: [DatasetRow] = []
    var bytes = 0
    try source.forEach { row in
      batch.append(row)
      bytes += row.cells.reduce(row.key.utf8.count) { $0 + $1.bytes.count }
      guard bytes >= batchBytes else { return }
      try queue.put(batch)
      (batch, bytes) = ([], 0)
    }
    if !batch.isEmpty { try queue.put(batch) }
  }
}

/// Batches of rows on their way from the thread that reads to the one that writes.
private final class RowQueue: @unchecked Sendable {
  /// Thrown in the reader once nobody takes its rows.
  private struct Cancelled: Error {}

  /// Guards all that follows.
  private let condition = NSCondition()
  private let mostBatches: Int
  private var batches: [[DatasetRow]] = []
  private var failure: (any Error)?
  private var hasEnded = false
  private var isCancelled = false

  init(mostBatches: Int) { self.mostBatches = mostBatches }

  /// Waits for room and adds a batch.
  func put(_ batch: [DatasetRow]) throws {
    condition.lock()
    defer { condition.unlock() }
    while batches.count >= mostBatches, !isCancelled { condition.wait() }
    if isCancelled { throw Cancelled() }
    batches.append(batch)
    condition.broadcast()
  }

  /// Says that no batch follows, and why.
  func end(_ error: (any Error)?) {
    condition.lock()
    defer { condition.unlock() }
    failure = error
    hasEnded = true
    condition.broadcast()
  }

  /// Waits for the next batch; nil at the end.
  func next() throws -> [DatasetRow]? {
    condition.lock()
    defer { condition.unlock() }
    while batches.isEmpty, !hasEnded { condition.wait() }
    if !batches.isEmpty {
      defer { condition.broadcast() }
      return batches.removeFirst()
    }
    if let failure { throw failure }
    return nil
  }

  /// Stops the reader and waits until it has.
  func cancel() {
    condition.lock()
    defer { condition.unlock() }
    isCancelled = true
    condition.broadcast()
    while !hasEnded { condition.wait() }
  }
}
