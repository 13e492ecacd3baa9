import Foundation
import TesseraCore

/// What lies in a dataset's folder, whoever put it there.
struct DatasetTree {
  let folder: String

  /// What a file system puts into its root.
  private static let system = "lost+found"

  /// Hands over the path of everything below the folder that is no folder itself, and of each folder in
  /// which nothing is, with a slash at its end.
  ///
  /// - Throws: `TesseraError`, and what `body` throws.
  func forEachEntry(_ body: (String) throws -> Void) throws { try forEachEntry(below: "", body) }

  private func forEachEntry(below prefix: String, _ body: (String) throws -> Void) throws {
    let path = prefix.isEmpty ? folder : "\(folder)/\(prefix.dropLast())"
    guard let stream = unsafe opendir(path) else {
      throw TesseraError.system("list the folder", path, errno)
    }
    defer { unsafe closedir(stream) }
    var folders: [String] = []
    var isEmpty = true
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else {
        guard errno == 0 else {
          throw TesseraError.system("list the folder", path, errno)
        }
        break
      }
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) {
          unsafe String(cString: $0)
        }
      }
      if name == "." || name == ".." || prefix + name == Self.system { continue }
      isEmpty = false
      var status = stat()
      guard unsafe lstat("\(path)/\(name)", &status) == 0 else {
        throw TesseraError.system("look at", "\(path)/\(name)", errno)
      }
      if status.st_mode & S_IFMT == S_IFDIR {
        folders.append(name)
      } else {
        try body(prefix + name)
      }
    }
    if isEmpty, !prefix.isEmpty { try body(prefix) }
    for name in folders { try forEachEntry(below: "\(prefix)\(name)/", body) }
  }
}
