import Foundation
import TesseraCore

/// The files that lie in a dataset's folder, whoever put them there.
struct DatasetTree {
  let folder: String

  /// What a file system puts into its root.
  private static let system = "lost+found"

  /// Hands over the path of everything below the folder that is no folder itself.
  ///
  /// - Throws: `FileError`, and what `body` throws.
  func forEachFile(_ body: (String) throws -> Void) throws { try forEachFile(below: "", body) }

  private func forEachFile(below prefix: String, _ body: (String) throws -> Void) throws {
    let path = prefix.isEmpty ? folder : "\(folder)/\(prefix.dropLast())"
    guard let stream = unsafe opendir(path) else {
      throw FileError(operation: "list the folder", path: path, code: errno)
    }
    defer { unsafe closedir(stream) }
    var folders: [String] = []
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else {
        guard errno == 0 else {
          throw FileError(operation: "list the folder", path: path, code: errno)
        }
        break
      }
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) {
          unsafe String(cString: $0)
        }
      }
      if name == "." || name == ".." || prefix + name == Self.system { continue }
      var status = stat()
      guard unsafe lstat("\(path)/\(name)", &status) == 0 else {
        throw FileError(operation: "look at", path: "\(path)/\(name)", code: errno)
      }
      if status.st_mode & S_IFMT == S_IFDIR {
        folders.append(name)
      } else {
        try body(prefix + name)
      }
    }
    for name in folders { try forEachFile(below: "\(prefix)\(name)/", body) }
  }
}
