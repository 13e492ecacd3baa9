import CProcess
import Foundation
import TesseraCore

/// SIGINT, SIGTERM and SIGHUP end the program in order: unfinished files are removed, one line says what is
/// kept, and the signal then ends the process as it would have.
///
/// A signal that is ignored, as under `nohup`, stays so.
enum TerminationSignals {
  private static let names = [SIGINT: "SIGINT", SIGTERM: "SIGTERM", SIGHUP: "SIGHUP"]

  /// Begins to wait for them, on a thread of its own.
  static func watch() {
    let thread = Thread {
      let number = unsafe cprocess_wait_for_signal(Array(names.keys), Int32(names.count))
      let kept = Interruption.prepareToEnd()
      StandardError.write("Stopped by \(names[number] ?? "a signal"): \(kept)".oneLine + "\n")
      cprocess_end_by_signal(number)
      while true { pause() }
    }
    thread.stackSize = 1 << 20
    thread.start()
  }
}
