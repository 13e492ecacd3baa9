import Foundation
import TesseraCore

/// How far a long run is: one line that is redrawn on a terminal, a line every tenth elsewhere.
struct ProgressLine {
  private let verb: String
  private let unit: String
  private let total: Int
  private let isTerminal: Bool
  private let isQuiet: Bool
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  private var lastDrawn: ContinuousClock.Instant?
  private var lastTenth = 0
  private var skipped = 0

  /// Starts the clock.
  ///
  /// - Parameters:
  ///   - verb: What is being done, such as `tokenize`.
  ///   - unit: What is counted, such as `images`.
  ///   - total: How many there are.
  ///   - isQuiet: Whether to print nothing.
  init(_ verb: String, unit: String, total: Int, isQuiet: Bool) {
    (self.verb, self.unit, self.total, self.isQuiet) = (verb, unit, total, isQuiet)
    isTerminal = isatty(STDERR_FILENO) == 1
    start = clock.now
  }

  /// The seconds since the start.
  var seconds: Double { (clock.now - start).seconds }

  /// Counts what an earlier run has done: it is part of the progress and not of the rate.
  mutating func skip(_ count: Int) { skipped += count }

  /// Shows `done` (the skipped ones included) of the total, where it is time to show it.
  mutating func show(_ done: Int) {
    guard !isQuiet, total > 0 else { return }
    let now = clock.now
    if isTerminal {
      let isDue = lastDrawn.map { now - $0 >= .milliseconds(100) } ?? true
      guard isDue || done == total else { return }
      lastDrawn = now
      // A line that wraps is not drawn over but left behind; the rest erases what a longer one before left.
      StandardError.write("\r\(text(done).prefix(Self.width - 1))\u{1B}[K")
      if done == total { StandardError.write("\n") }
    } else {
      let tenth = done * 10 / total
      guard tenth > lastTenth else { return }
      lastTenth = tenth
      StandardError.write(text(done) + "\n")
    }
  }

  /// The columns of the terminal, which may change meanwhile; no limit where it does not tell.
  private static var width: Int {
    var size = winsize()
    let known = unsafe ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    return known ? Int(size.ws_col) : Int.max
  }

  private func text(_ done: Int) -> String {
    let elapsed = max(seconds, 1e-6)
    let rate = Double(done - skipped) / elapsed
    let percent = done * 100 / total
    var text = "\(verb): \(done)/\(total) \(unit) (\(percent)%), \(rate.rounded(places: 1))/s"
    if done < total, rate > 0 {
      text += ", \(Self.duration(Double(total - done) / rate)) left"
    } else if done == total {
      text += ", \(Self.duration(elapsed))"
    }
    return text
  }

  /// Seconds as `4 s`, `3 min 20 s` or `2 h 05 min`.
  static func duration(_ seconds: Double) -> String {
    // A rate near zero gives a remainder that no integer holds.
    let whole = Int(min(seconds.rounded(.up), 1e9))
    if whole < 60 { return "\(whole) s" }
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    if whole < 3600 { return "\(whole / 60) min \(two(whole % 60)) s" }
    return "\(whole / 3600) h \(two(whole % 3600 / 60)) min"
  }
}

extension Duration {
  /// The duration in seconds.
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
