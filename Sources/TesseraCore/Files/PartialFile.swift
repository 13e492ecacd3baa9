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

  /// The beginning of every name; digits of the output's name follow, and random ones of a shared file.
  private static let prefix = ".partial-"
  private static let nameDigits = 16

  /// Whether a name is that of such a file, and nobody's who calls files so.
  static func isOwn(_ name: String) -> Bool {
    guard name.hasPrefix(prefix) else { return false }
    let parts = name.dropFirst(prefix.count).split(
      separator: "-",
      omittingEmptySubsequences: false
    )
    let areDigits = parts.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isHexDigit) }
    return areDigits && (1...2).contains(parts.count) && parts[0].utf8.count == nameDigits
  }

  /// How often, and with what pause in microseconds, a lock is asked for: a run that looks for what killed
  /// ones left holds it for a moment.
  private static let attempts = (count: 5, pause: UInt32(10_000))

  /// Creates the file beside the output, or takes over a killed run's.
  ///
  /// - Parameters:
  ///   - output: The final path.
  ///   - claim: The name in the output's folder that stands for all of what is made, where the output is
  ///     one of its forms; no two runs hold one claim. The output's own name without it.
  ///   - isShared: Whether several runs may make this output at once, all with the same bytes.
  /// - Throws: `TesseraError`, also where another run is making this output.
  init(for output: String, claiming claim: String? = nil, isShared: Bool) throws {
    let claim = claim ?? AtomicFile.name(of: output)
    let name = FileDigest.sha256(of: Array(claim.utf8)).prefix(Self.nameDigits)
    var path = AtomicFile.folder(of: output) + "/" + Self.prefix + name
    if isShared { path += "-" + String(UInt64.random(in: 0...UInt64.max), radix: 16) }
    let target = path
    let descriptor = try Interruption.protect {
      let descriptor = try Self.open(target, for: output, isShared: isShared)
      Interruption.add(target)
      return descriptor
    }
    (self.path, self.descriptor, self.output) = (path, descriptor, output)
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
        throw TesseraError.system("create the file", output, errno)
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
    var attempt = 1
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      guard errno == EWOULDBLOCK else { break }
      guard attempt < attempts.count else { throw TesseraError.outputInUse(output) }
      attempt += 1
      usleep(attempts.pause)
    }
    var (open, named) = (stat(), stat())
    guard unsafe fstat(descriptor, &open) == 0 else {
      throw TesseraError.system("create the file", output, errno)
    }
    guard unsafe lstat(path, &named) == 0, named.st_ino == open.st_ino else { return false }
    guard open.st_size == 0 || ftruncate(descriptor, 0) == 0 else {
      throw TesseraError.system("empty the file", output, errno)
    }
    return true
  }

  /// Gives the file the output's name, replacing a file there, and with it away the lock.
  consuming func rename() throws(TesseraError) {
    let (path, output) = (path, output)
    try Interruption.protect { () throws(TesseraError) in
      guard unsafe Foundation.rename(path, output) == 0 else {
        throw TesseraError.system("rename the finished file", output, errno)
      }
      Interruption.keep(path)
    }
    isKept = true
    try close()
  }

  /// Closes the file, checked.
  private mutating func close() throws(TesseraError) {
    isOpen = false
    guard Foundation.close(descriptor) == 0 else {
      throw TesseraError.system("close", output, errno)
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

extension PartialFile {
  /// Removes what killed runs left in a folder, whichever output it was for.
  ///
  /// A lock that is free says that the owner is gone; where a file system has no locks, all stay.
  ///
  /// - Throws: `TesseraError` where the folder cannot be listed, or a file not removed.
  static func removeAbandoned(in folder: String) throws(TesseraError) {
    let folder = folder.isEmpty ? "/" : folder
    let names: [String]
    do throws(TesseraError) {
      names = try FolderListing.names(of: folder)
    } catch {
      // A folder that is not there yet, or that one may write and not list.
      if [ENOENT, EACCES].contains(error.code) { return }
      throw error
    }
    for name in names where isOwned(name) { try removeIfAbandoned("\(folder)/\(name)") }
  }

  /// Whether a name is that of a file with an owner; shared ones have more digits, and no lock.
  private static func isOwned(_ name: String) -> Bool {
    isOwn(name) && !name.dropFirst(prefix.count).contains("-")
  }

  private static func removeIfAbandoned(_ path: String) throws(TesseraError) {
    let flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
    let descriptor = unsafe Foundation.open(path, flags)
    // Another run's, which has ended meanwhile, or another user's.
    guard descriptor >= 0 else { return }
    defer { _ = Foundation.close(descriptor) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return }
    var (open, named) = (stat(), stat())
    guard unsafe fstat(descriptor, &open) == 0, open.st_mode & S_IFMT == S_IFREG,
      unsafe lstat(path, &named) == 0, named.st_ino == open.st_ino
    else { return }
    guard unsafe unlink(path) == 0 || errno == ENOENT else {
      throw TesseraError.system("remove what a killed run left", path, errno)
    }
  }
}
