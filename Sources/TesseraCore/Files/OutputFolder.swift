import CFiles
import Foundation

/// Folders that are written to: made, emptied, and their names made durable.
package enum OutputFolder {
  /// Makes a folder and those above it; one that is there stays as it is.
  ///
  /// New folders in which nothing is when the program ends by an error or a signal go again, see
  /// ``Interruption``.
  ///
  /// - Parameters:
  ///   - path: The folder.
  ///   - isDurable: Whether a new folder's name is on the disk at the return; without it, the caller
  ///     sees to that, and to its removal.
  /// - Returns: The folders that were not there, those above before those in them; after an error none of
  ///   them is left.
  /// - Throws: `TesseraError`.
  @discardableResult
  package static func make(
    _ path: String,
    isDurable: Bool = true
  ) throws(TesseraError) -> [String] {
    if path.count > 1, path.hasSuffix("/") {
      return try make(String(path.dropLast()), isDurable: isDurable)
    }
    var made: [String] = []
    do throws(TesseraError) {
      var code = make(one: path, isDurable)
      if code == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex {
        made = try make(String(path[..<slash]), isDurable: isDurable)
        code = make(one: path, isDurable)
      }
      if code == 0 {
        made.append(path)
        if isDurable { try synchronize(AtomicFile.folder(of: path)) }
      } else if code != EEXIST || !isFolder(path) {
        throw TesseraError.system("create the folder", path, code == EEXIST ? ENOTDIR : code)
      }
    } catch {
      for folder in made.reversed() {
        _ = unsafe rmdir(folder)
        Interruption.keep(folder)
      }
      throw error
    }
    return made
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Makes one folder, and makes it known; the `errno`, 0 where it is made.
  private static func make(one path: String, _ isKnown: Bool) -> Int32 {
    Interruption.protect {
      guard unsafe mkdir(path, 0o777) == 0 else { return errno }
      if isKnown { Interruption.add(scaffold: path) }
      return 0
    }
  }

  /// Makes the names in a folder durable: they are the folder's data.
  ///
  /// - Throws: `TesseraError`.
  package static func synchronize(_ folder: String) throws(TesseraError) {
    let path = folder.isEmpty ? "/" : folder
    let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else {
      // A folder one may write but not list cannot be opened; the file itself is durable.
      if errno == EACCES { return }
      throw TesseraError.system("open the folder", path, errno)
    }
    // Some network file systems have no fsync for folders.
    let code = fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno
    try end(descriptor, code, "synchronize the folder", path)
  }

  /// Makes the bytes of a file durable that a library wrote and closed.
  ///
  /// - Throws: `TesseraError`.
  package static func synchronizeFile(_ path: String) throws(TesseraError) {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw TesseraError.system("open", path, errno) }
    try end(descriptor, fsync(descriptor) == 0 ? 0 : errno, "write", path)
  }

  private static func end(
    _ descriptor: Int32,
    _ code: Int32,
    _ operation: String,
    _ path: String
  ) throws(TesseraError) {
    let closed = close(descriptor) == 0 ? 0 : errno
    let first = code != 0 ? code : closed
    guard first == 0 else { throw TesseraError.system(operation, path, first) }
  }

  /// Gives a file or folder another name, replacing a file of that name; durable once the folder is
  /// synchronized.
  ///
  /// - Throws: `TesseraError`.
  package static func rename(_ path: String, to target: String) throws(TesseraError) {
    guard unsafe Foundation.rename(path, target) == 0 else {
      throw TesseraError.system("rename", path, errno)
    }
  }

  /// Removes a file, or a folder with all that it holds; nothing where there is none.
  ///
  /// Links are removed and not followed.
  ///
  /// - Throws: `TesseraError`.
  package static func remove(_ path: String) throws(TesseraError) {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return }
      throw TesseraError.system("look at", path, errno)
    }
    let isFolder = status.st_mode & S_IFMT == S_IFDIR
    if isFolder {
      for name in try FolderListing.names(of: path) { try remove("\(path)/\(name)") }
    }
    let code = unsafe isFolder ? rmdir(path) : unlink(path)
    guard code == 0 || errno == ENOENT else {
      throw TesseraError.system("remove", path, errno)
    }
  }
}

/// All that was written below a folder since this began, made durable at once.
///
/// For many small files: a call for each of a million would take hours.
package final class FileSystemBarrier {
  private let folder: String
  /// Errors of writing count for a descriptor from its opening on; negative where that failed.
  private let descriptor: Int32
  private let code: Int32

  /// Begins to watch the file system of a folder.
  package init(_ folder: String) {
    self.folder = folder
    descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    code = errno
  }

  deinit { if descriptor >= 0 { _ = close(descriptor) } }

  /// Waits until everything is on the disk.
  ///
  /// - Throws: `TesseraError` where anything could not be written.
  package func wait() throws(TesseraError) {
    guard descriptor >= 0 else {
      throw TesseraError.system("open the folder", folder, code)
    }
    guard cfiles_synchronize_all(descriptor) == 0 else {
      throw TesseraError.system("write the files below", folder, errno)
    }
  }
}
