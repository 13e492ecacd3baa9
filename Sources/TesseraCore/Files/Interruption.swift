import Foundation
internal import Synchronization

/// What a signal that ends the program must not cut in two, and what it takes away.
///
/// Steps that belong together (a rename and what it completes) run inside of ``protect(_:)``; a signal
/// waits for their end. Files that are not complete are known here from their creation on, so that a
/// signal removes them, as an error does.
package enum Interruption {
  private struct State {
    /// Files and folders that are removed, and folders that are removed where nothing is in them.
    var unfinished: Set<String> = []
    var scaffolds: Set<String> = []
    /// What is kept, and how to go on.
    var note: (@Sendable () -> String)?
  }

  private static let state = Mutex(State())
  /// Held by each protected step; for good once the program ends.
  private static let gate = NSRecursiveLock()

  /// Runs a step that is done as a whole or, where the program was told to end, not at all.
  package static func protect<Value, Failure: Error>(
    _ step: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    gate.lock()
    defer { gate.unlock() }
    return try step()
  }

  /// Makes a file or folder known that is to vanish if the program ends before ``keep(_:)``.
  package static func add(_ path: String) {
    state.withLock { _ = $0.unfinished.insert(path) }
  }

  /// Makes a folder known that is to vanish if it is empty then.
  package static func add(scaffold path: String) {
    state.withLock { _ = $0.scaffolds.insert(path) }
  }

  /// A file or folder is complete, or gone.
  package static func keep(_ path: String) {
    state.withLock { state in
      state.unfinished.remove(path)
      state.scaffolds.remove(path)
    }
  }

  /// States what a signal leaves behind: asked when one arrives, from another thread.
  ///
  /// - Parameter note: One clause on what is kept and one on how to go on.
  package static func explain(_ note: @escaping @Sendable () -> String) {
    state.withLock { $0.note = note }
  }

  /// For a program that is told to end: waits for protected steps, then removes what is unfinished.
  ///
  /// No protected step begins any more, so what was removed stays so.
  ///
  /// - Returns: What is kept and how to go on.
  package static func prepareToEnd() -> String {
    gate.lock()
    let (unfinished, scaffolds, note) = state.withLock {
      ($0.unfinished, $0.scaffolds, $0.note)
    }
    for path in unfinished {
      // Another thread may add to a folder that is being removed.
      for _ in 0..<3 {
        do {
          try OutputFolder.remove(path)
          break
        } catch { continue }
      }
    }
    remove(scaffolds)
    return note?() ?? "unfinished files were removed; run it again"
  }

  /// For a program that ends by an error: removes the folders that it made and in which nothing is.
  package static func removeScaffolds() {
    protect {
      let scaffolds = state.withLock { state in
        defer { state.scaffolds = [] }
        return state.scaffolds
      }
      remove(scaffolds)
    }
  }

  /// Removes folders where nothing is in them, those in others first.
  private static func remove(_ scaffolds: Set<String>) {
    for path in scaffolds.sorted(by: { $0.utf8.count > $1.utf8.count }) { _ = unsafe rmdir(path) }
  }

  /// Waits for the end where a signal has begun it; nothing else is said then.
  package static func yieldToSignal() { protect {} }
}
