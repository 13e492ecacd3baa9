extension Sequence where Element: Sendable {
  /// Transforms elements concurrently and hands the results to `consume` in their original order.
  ///
  /// At most `width` elements are in flight, counting those that wait for an earlier one, so memory
  /// stays bounded however long the sequence is. The first error cancels the rest.
  ///
  /// - Parameters:
  ///   - width: The number of elements in flight; 1 is strictly serial.
  ///   - transform: Runs on any thread.
  ///   - consume: Receives the results in order, one at a time.
  /// - Throws: The first error of either closure.
  package func mapInOrder<Output: Sendable>(
    width: Int,
    _ transform: @escaping @concurrent @Sendable (Element) async throws -> Output,
    consume: (Output) async throws -> Void
  ) async throws {
    precondition(width > 0, "at least one element is in flight")
    try await withThrowingTaskGroup(of: (Int, Output).self) { group in
      var pending = enumerated().makeIterator()
      var finished: [Int: Output] = [:]
      var next = 0
      func startOne() {
        guard let (position, element) = pending.next() else { return }
        group.addTask { (position, try await transform(element)) }
      }
      for _ in 0..<width { startOne() }
      while let (position, output) = try await group.next() {
        finished[position] = output
        while let ready = finished.removeValue(forKey: next) {
          try await consume(ready)
          next += 1
          startOne()
        }
      }
    }
  }
}
