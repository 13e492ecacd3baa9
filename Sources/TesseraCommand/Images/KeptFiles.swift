import Synchronization
import TesseraCore

/// How many files a run has finished, for the line that a signal leaves behind.
final class KeptFiles: Sendable {
  private let done = Mutex(0)

  /// Begins with none.
  ///
  /// - Parameters:
  ///   - verb: What is done.
  ///   - total: How many files there will be.
  ///   - folder: Where they are.
  init(_ verb: String, of total: Int, in folder: String) {
    Interruption.explain { [self] in
      let done = done.withLock { $0 }
      return "\(done) of \(total) images of '\(folder)' are kept; "
        + "the same \(verb) again writes all of them"
    }
  }

  /// States how many are finished.
  func count(_ number: Int) { done.withLock { $0 = number } }
}

/// How many shards of a plan are done, for the line that a signal leaves behind.
final class KeptShards: Sendable {
  private let done = Mutex(0)

  /// Begins with none.
  ///
  /// - Parameters:
  ///   - total: How many shards this run makes.
  ///   - folder: Where they are.
  init(of total: Int, in folder: String) {
    Interruption.explain { [self] in
      let done = done.withLock { $0 }
      let rest = done < total ? ", the one at work begins anew" : ""
      return "\(done) of \(total) shards of '\(folder)' are kept\(rest); "
        + "run the same command again to go on"
    }
  }

  /// One more is done.
  func add() { done.withLock { $0 += 1 } }
}
