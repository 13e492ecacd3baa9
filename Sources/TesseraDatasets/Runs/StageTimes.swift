import Synchronization

/// Where the time of a run goes: the steps of an image's way.
package enum BatchStage: String, CaseIterable, Codable, Sendable {
  /// Reading the encoded bytes and hashing them.
  case read
  /// Decoding, orientation, resizing and cropping; for a JPEG they are one pass.
  case pixels
  /// The encoder's network.
  case network
  /// Rounding latents to codes, and position ids.
  case quantizer
  /// Building and writing shards.
  case writing
}

/// How long all tasks together spent in each stage.
package final class StageTimes: Sendable {
  private let totals = Mutex<[BatchStage: Duration]>([:])

  /// Creates times of zero.
  package init() {}

  /// Adds time to a stage.
  package func add(_ duration: Duration, to stage: BatchStage) {
    totals.withLock { $0[stage, default: .zero] += duration }
  }

  /// Runs `body` and adds its time to a stage, also where it throws.
  func measure<Result>(_ stage: BatchStage, _ body: () throws -> Result) rethrows -> Result {
    let clock = ContinuousClock()
    let start = clock.now
    defer { add(clock.now - start, to: stage) }
    return try body()
  }

  /// The time of each stage.
  package var durations: [BatchStage: Duration] { totals.withLock { $0 } }
}
