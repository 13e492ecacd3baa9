import Foundation

/// The few calls that the plan and the journal make to the file system, each failing in its words.
package enum FileTree {
  /// Whether something of this name is there.
  ///
  /// - Throws: `TesseraError` where that cannot be found out: a mount that is gone is no empty folder.
  package static func exists(_ path: String) throws(TesseraError) -> Bool {
    var status = stat()
    if unsafe stat(path, &status) == 0 { return true }
    if [ENOENT, ENOTDIR].contains(errno) { return false }
    throw TesseraError.system("look at", path, errno)
  }

  /// The size of a regular file, or nil where there is none.
  package static func size(of path: String) -> Int? {
    var status = stat()
    guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return Int(status.st_size)
  }

  /// The names in a folder; none where it does not exist.
  package static func entries(of folder: String) throws(TesseraError) -> [String] {
    do {
      return try FolderListing.names(of: folder)
    } catch {
      if error.code == ENOENT { return [] }
      throw error
    }
  }

  package static func read(_ path: String) throws(TesseraError) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TesseraError.system("open", path, errno) }
    defer { _ = close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe chunk.withUnsafeMutableBytes { buffer in
        unsafe Foundation.read(descriptor, buffer.baseAddress, buffer.count)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw TesseraError.system("read", path, errno) }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
    }
  }

  /// Writes a whole file: it appears complete or not at all.
  package static func write(_ bytes: [UInt8], to path: String) throws {
    var file = try AtomicFile(inDataset: path, isShared: true)
    try file.write(bytes)
    try file.commit()
  }
}
