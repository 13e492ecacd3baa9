import Foundation
import Readers

/// Whole small files in a stage, of which a layout has one or more a sample.
enum SmallFile {
  /// Makes all of them durable at once: a call for each of a million would take hours.
  static func synchronizeAll() { sync() }

  /// Writes a file in one call where the system takes it.
  static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
    let descriptor = unsafe open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw FileError(operation: "create the file", path: path, code: errno)
    }
    defer { _ = close(descriptor) }
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { bytes in
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
        return unsafe Foundation.write(descriptor, rest.baseAddress, rest.count)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileError(operation: "write", path: path, code: errno) }
      done += count
    }
  }
}
