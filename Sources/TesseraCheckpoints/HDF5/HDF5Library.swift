import CHDF5
import Synchronization
package import TesseraCore

/// The door to libhdf5: one caller at a time, nothing printed.
package enum HDF5 {
  private static let lock = Mutex(())

  /// For a program, once at its start: where libhdf5 comes to no end with a file, the process ends with
  /// one line that names it, and exit code 3; so does ``LibraryCrash/endProcess()`` where it crashes.
  package static func endProcess() {
    LibraryCrash.endProcess()
    chdf5_stay_at_exit()
    chdf5_end_endless_calls()
  }

  /// Runs a whole operation (open, look, read) alone in the library.
  ///
  /// The library's own lock, where it is built with one, covers single calls only. `name` is how
  /// messages call the file.
  package static func perform<Value: Sendable, Failure: Error>(
    on name: String,
    _ body: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    try lock.withLock { _ throws(Failure) in
      // In a thread-safe build the handler that prints errors belongs to the thread.
      chdf5_silence()
      unsafe chdf5_watch(name)
      defer { chdf5_unwatch() }
      return try LibraryCrash.naming(name, library: .hdf5, body)
    }
  }

  /// The library's words on the call that failed last; inside `perform`, right after the call.
  package static func describeFailure() -> String { lastFailure().words }

  /// The system's error behind the call that failed last, or nil where the library itself refused;
  /// inside `perform`, right after the call.
  ///
  /// A full disk or one that fails is no fault of the data.
  package static func failure(
    of operation: String,
    on path: String
  ) -> (words: String, system: TesseraError?) {
    let (words, code) = lastFailure()
    let system = code > 0 ? TesseraError.system(operation, path, code) : nil
    return (words, system)
  }

  private static func lastFailure() -> (words: String, code: Int32) {
    var text = [CChar](repeating: 0, count: 512)
    let code = unsafe chdf5_describe_failure(&text, text.count)
    let bytes = text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    return (String(decoding: bytes, as: UTF8.self), code)
  }
}

/// An identifier of the library, given back when it goes out of scope; only inside `HDF5.perform`.
struct HDF5Handle: ~Copyable {
  let id: hid_t
  private let close: (hid_t) -> herr_t

  /// Takes over an identifier, or returns nil where it is negative, the library's sign of failure.
  init?(_ id: hid_t, closedBy close: @escaping (hid_t) -> herr_t) {
    guard id >= 0 else { return nil }
    (self.id, self.close) = (id, close)
  }

  deinit { _ = close(id) }
}

/// Strings that a C visitor hands over one at a time.
struct HDF5Names {
  /// A name (nil where it is not UTF-8) and the kind of its link.
  typealias Element = (name: String?, link: chdf5_link)

  private(set) var elements: [Element] = []
  private let limit: Int

  private init(limit: Int) { self.limit = limit }

  /// Collects what `visit` reports, up to `limit` elements, or returns nil where it fails.
  static func collect(
    limit: Int,
    _ visit: (UnsafeMutableRawPointer, chdf5_visitor) -> Bool
  ) -> [Element]? {
    var names = HDF5Names(limit: limit)
    let isDone = unsafe withUnsafeMutablePointer(to: &names) { pointer in
      unsafe visit(UnsafeMutableRawPointer(pointer)) { context, bytes, count, link in
        guard let names = unsafe context?.assumingMemoryBound(to: HDF5Names.self) else {
          return false
        }
        guard unsafe names.pointee.elements.count < names.pointee.limit else { return false }
        let text = unsafe UnsafeRawBufferPointer(start: bytes, count: count)
        let name = unsafe String(validating: text, as: UTF8.self)
        unsafe names.pointee.elements.append((name, link))
        return true
      }
    }
    return isDone ? names.elements : nil
  }
}
