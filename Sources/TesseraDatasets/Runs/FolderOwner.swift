import Foundation
package import TesseraCore

/// The one run that works in an output folder: it holds the lock on `.tessera/lock`.
///
/// The system drops the lock with the process, so a killed run blocks nobody; the file that it left is
/// taken over. On a network mount the lock counts for all machines where the mount has locks; where it
/// has none, nothing keeps two runs apart.
package final class FolderOwner {
  /// The folder for what is not complete, inside of the output folder.
  package let work: String

  private let folder: String
  private var descriptor: Int32

  private var path: String { "\(work)/lock" }

  /// The name of the folder inside of the output folder.
  package static let workName = ".tessera"

  /// Makes the output folder, where there is none, and takes its lock.
  ///
  /// - Parameters:
  ///   - folder: The output folder.
  ///   - verb: What this run does, for the message to others.
  ///   - waits: Whether to wait for another run of the same verb: it makes the same result.
  /// - Throws: `TesseraError` where another run has it.
  package init(of folder: String, verb: String, waits: Bool = false) throws {
    self.folder = folder
    work = "\(folder)/\(Self.workName)"
    descriptor = -1
    let path = path
    while descriptor < 0 {
      try OutputFolder.make(work)
      try refuseForeign()
      let opened = unsafe open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0o666)
      if opened < 0, errno == ENOENT { continue }
      guard opened >= 0 else {
        throw TesseraError.system("create the file", path, errno)
      }
      do {
        // Its owner may have removed it between the two calls.
        if try take(opened, verb, waits: waits) { descriptor = opened } else { _ = close(opened) }
      } catch {
        _ = close(opened)
        throw error
      }
    }
    Interruption.add(path)
    Interruption.add(scaffold: work)
  }

  /// What runs keep in the hidden folder.
  private static let ownNames: Set = [
    "lock", "plan", "journal", "native", "export", "published", "decode",
  ]

  /// All in the hidden folder is removed at the end: it must be the folder of that name itself, and hold
  /// nothing but what runs put there.
  private func refuseForeign() throws {
    if Self.isLink(work) {
      throw TesseraError.foreign(folder: folder, entry: "\(Self.workName) as a link")
    }
    for name in try FileTree.entries(of: work) {
      let entry = "\(Self.workName)/\(name)"
      guard
        Self.ownNames.contains(name) || name.hasPrefix(DatasetFolder.draftPrefix)
          || AtomicFile.isPartial(name)
      else { throw TesseraError.foreign(folder: folder, entry: entry) }
      guard !Self.isLink("\(work)/\(name)") else {
        throw TesseraError.foreign(folder: folder, entry: "\(entry) as a link")
      }
    }
  }

  private static func isLink(_ path: String) -> Bool {
    var status = stat()
    return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
  }

  private func take(_ opened: Int32, _ verb: String, waits: Bool) throws -> Bool {
    while flock(opened, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      // A file system without locks.
      guard errno == EWOULDBLOCK else { break }
      let holder = Self.text(of: opened)
      guard waits, holder == verb else { throw TesseraError.outputInUse(folder, verb: holder) }
      _ = flock(opened, LOCK_EX)
    }
    var (open, named) = (stat(), stat())
    guard unsafe fstat(opened, &open) == 0 else {
      throw TesseraError.system("look at", path, errno)
    }
    guard unsafe lstat(path, &named) == 0, named.st_ino == open.st_ino else { return false }
    guard ftruncate(opened, 0) == 0,
      unsafe pwrite(opened, verb, verb.utf8.count, 0) == verb.utf8.count
    else { throw TesseraError.system("write", path, errno) }
    return true
  }

  /// What the owner does; nil where it has not said so yet.
  private static func text(of descriptor: Int32) -> String? {
    var bytes = [UInt8](repeating: 0, count: 32)
    let count = unsafe pread(descriptor, &bytes, bytes.count, 0)
    return count > 0 ? String(decoding: bytes.prefix(count), as: UTF8.self) : nil
  }

  /// Removes all that is not complete, apart from the lock.
  ///
  /// - Parameter names: What stays.
  /// - Throws: `TesseraError`.
  func clear(keeping names: Set<String> = []) throws(TesseraError) {
    for name in try FolderListing.names(of: work) where name != "lock" && !names.contains(name) {
      try OutputFolder.remove("\(work)/\(name)")
    }
  }

  /// Gives the folder back: what is complete stays, and nothing hidden; once.
  ///
  /// - Throws: `TesseraError` where something hidden cannot be removed.
  package func finish() throws(TesseraError) {
    guard descriptor >= 0 else { return }
    try Interruption.protect { () throws(TesseraError) in
      try clear()
      try OutputFolder.remove(path)
      forget()
      // Another run may be waiting in it.
      guard unsafe rmdir(work) == 0 || [ENOENT, ENOTEMPTY, EEXIST].contains(errno) else {
        throw TesseraError.system("remove", work, errno)
      }
      try OutputFolder.synchronize(folder)
    }
  }

  private func forget() {
    Interruption.keep(path)
    Interruption.keep(work)
    if descriptor >= 0 { _ = close(descriptor) }
    descriptor = -1
  }

  deinit {
    guard descriptor >= 0 else { return }
    _ = unsafe unlink(path)
    forget()
    _ = unsafe rmdir(work)
  }
}
