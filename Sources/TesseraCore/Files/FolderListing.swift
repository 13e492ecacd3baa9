import Foundation

/// The names in a folder.
package enum FolderListing {
  /// All names but `.` and `..`, in no order; a name that is not UTF-8 is repaired.
  ///
  /// - Throws: `TesseraError` where the folder cannot be opened, or not read to its end: a name that is
  ///   missing for that reason would be a file that nobody looks at.
  package static func names(of folder: String) throws(TesseraError) -> [String] {
    func failure() -> TesseraError {
      TesseraError.system("list the folder", folder, errno)
    }
    guard let stream = unsafe opendir(folder) else { throw failure() }
    defer { unsafe _ = closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else {
        guard errno == 0 else { throw failure() }
        return names
      }
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { name in
        unsafe String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
  }
}
