import CCrash

/// C libraries that read other people's files, and may crash on a damaged one.
package enum LibraryCrash {
  /// A library, as messages name it.
  package enum Library: Sendable {
    case hdf5, image

    /// Text that lives as long as the program.
    fileprivate var name: StaticString {
      switch self {
      case .hdf5: "HDF5"
      case .image: "image"
      }
    }
  }

  /// For a program, once at its start: where a library crashes on a file, the process ends with one line
  /// that names it, and exit code 3.
  ///
  /// Installs handlers for the signals of a crash; crashes elsewhere end as they did before.
  package static func endProcess() {
    ccrash_end_process()
  }

  /// Runs calls of a library that read a file.
  ///
  /// - Parameters:
  ///   - file: How messages call the file.
  ///   - library: The library.
  ///   - body: The calls, on this thread.
  /// - Returns: What the calls return.
  /// - Throws: What the calls throw.
  package static func naming<Value, Failure: Error>(
    _ file: String,
    library: Library,
    _ body: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    library.name.withUTF8Buffer { name in
      unsafe name.withMemoryRebound(to: CChar.self) { unsafe ccrash_enter(file, $0.baseAddress) }
    }
    defer { ccrash_leave() }
    return try body()
  }
}
