import Synchronization

/// Progress that arrives from the task that copies.
final class ByteProgress: Sendable {
  private let line: Mutex<ProgressLine>

  init(_ verb: String, bytes: Int, isQuiet: Bool) {
    line = Mutex(ProgressLine(verb, unit: "MB", total: bytes / 1_000_000, isQuiet: isQuiet))
  }

  var seconds: Double { line.withLock { $0.seconds } }

  @Sendable func show(_ bytes: Int) { line.withLock { $0.show(bytes / 1_000_000) } }
}
