import Foundation

/// Whole small files in a stage, of which a layout has one or more a sample.
package enum SmallFile {
  /// Writes a file in one call where the system takes it; it is durable once its stage is.
  package static func write(_ bytes: [UInt8], to path: String) throws(TesseraError) {
    let descriptor = unsafe open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw TesseraError.system("create the file", path, errno)
    }
    var code: Int32 = 0
    var done = 0
    while done < bytes.count, code == 0 {
      let count = unsafe bytes.withUnsafeBytes { bytes in
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
        return unsafe Foundation.write(descriptor, rest.baseAddress, rest.count)
      }
      if count >= 0 { done += count } else if errno != EINTR { code = errno }
    }
    if close(descriptor) != 0, code == 0 { code = errno }
    guard code == 0 else { throw TesseraError.system("write", path, code) }
  }
}
