import Foundation

/// The hidden file that holds the bytes of an output until it is complete, and its owner's lock.
///
/// Its name follows from that of the output, so that the next run to the same output takes over what a
/// killed one left. The lock tells a killed run from one at work: the system drops it with the process.
/// Where a file system has no locks (some network mounts), the last of two runs wins.
struct PartialFile: ~Copyable {
  /// Where the bytes are.
  let path: String
  /// Open for reading and writing; closed by ``close()`` or with the value.
  let descriptor: Int32
  /// The output; errors name it.
  private let output: String
  private var isOpen = true
  private var isKept = false

  /// The beginning of every name.
  static let prefix = ".partial-"

  /// Creates the file beside the output, or takes over a killed run's.
  ///
  /// - Parameters:
  ///   - output: The final path.
  ///   - isShared: Whether several runs may make this output at once, all with the same bytes.
  /// - Throws: `FileError`; ``OutputInUseError`` where another run is making this output.
  init(for output: String, isShared: Bool) throws {
    let name = FileDigest.sha256(of: Array(AtomicFile.name(of: output).utf8)).prefix(16)
    var path = AtomicFile.folder(of: output) + "/" + Self.prefix + name
    if isShared { path += "-" + String(UInt64.random(in: 0...UInt64.max), radix: 16) }
    let target = path
    let descriptor = try Interruption.protect {
      let descriptor = try Self.open(target, for: output, isShared: isShared)
      Interruption.add(target)
      return descriptor
    }
    self.path = path
    self.descriptor = descriptor
    self.output = output
  }

  private static func open(
    _ path: String,
    for output: String,
    isShared: Bool
  ) throws -> Int32 {
    let flags = O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW | (isShared ? O_EXCL : 0)
    while true {
      let descriptor = unsafe Foundation.open(path, flags, 0o666)
      guard descriptor >= 0 else {
        throw FileError(operation: "create the file", path: output, code: errno)
      }
      if isShared { return descriptor }
      do {
        if try take(descriptor, path, output) { return descriptor }
      } catch {
        _ = Foundation.close(descriptor)
        throw error
      }
      // Its owner renamed it, or removed it, between the two calls.
      _ = Foundation.close(descriptor)
    }
  }

  /// Locks and empties the file; false where it no longer has this name.
  private static func take(_ descriptor: Int32, _ path: String, _ output: String) throws -> Bool {
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno == EWOULDBLOCK { throw OutputInUseError(output: output, verb: nil) }
      if errno != EINTR { break }
    }
    var (open, named) = (stat(), stat())
    guard unsafe fstat(descriptor, &open) == 0 else {
      throw FileError(operation: "create the file", path: output, code: errno)
    }
    guard unsafe lstat(path, &named) == 0, named.st_ino == open.st_ino else { return false }
    guard open.st_size == 0 || ftruncate(descriptor, 0) == 0 else {
      throw FileError(operation: "empty the file", path: output, code: errno)
    }
    return true
  }

  /// Gives the file the output's name, replacing a file there, and with it away the lock.
  consuming func rename() throws(FileError) {
    let (path, output) = (path, output)
    try Interruption.protect { () throws(FileError) in
      guard unsafe Foundation.rename(path, output) == 0 else {
        throw FileError(operation: "rename the finished file", path: output, code: errno)
      }
      Interruption.keep(path)
    }
    isKept = true
    try close()
  }

  /// Closes the file, checked.
  private mutating func close() throws(FileError) {
    isOpen = false
    guard Foundation.close(descriptor) == 0 else {
      throw FileError(operation: "close", path: output, code: errno)
    }
  }

  deinit {
    if !isKept {
      _ = unsafe unlink(path)
      Interruption.keep(path)
    }
    if isOpen { _ = Foundation.close(descriptor) }
  }
}
