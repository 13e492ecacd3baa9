import Foundation
import TesseraCore

/// The image files below a folder, sorted by the bytes of their relative paths.
///
/// Links are followed only to files that lie in the folder themselves; a linked folder is not
/// entered: what lies inside is found under its own path, what lies outside stays outside.
struct FolderWalk {
  /// One image file.
  struct File {
    /// The path relative to the folder.
    let path: String
    /// Why the file may not be read, if it may not.
    let refusal: String?
  }

  /// The files in order.
  private(set) var files: [File] = []
  /// Linked folders that were not entered, a sentence each.
  private(set) var notes: [String] = []

  private let root: String
  private let realRoot: String

  /// Walks the folder at `root`.
  init(root: String) throws(TesseraError) {
    self.root = root
    guard let real = Self.realPath(root) else {
      throw TesseraError.system("find", root, errno)
    }
    realRoot = real
    var folders = [""]
    while let folder = folders.popLast() {
      try list(folder, folders: &folders)
    }
    files.sort { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
  }

  /// Lists one folder: `prefix` is empty or ends in a slash.
  private mutating func list(_ prefix: String, folders: inout [String]) throws(TesseraError) {
    let path = root + "/" + prefix
    guard let stream = unsafe opendir(path) else {
      throw TesseraError.system("list", path, errno)
    }
    defer { unsafe _ = closedir(stream) }
    while true {
      errno = 0
      guard let entry = unsafe readdir(stream) else {
        guard errno == 0 else { throw TesseraError.system("list", path, errno) }
        return
      }
      let bytes = unsafe withUnsafeBytes(of: entry.pointee.d_name) { name in
        unsafe Array(name.prefix { $0 != 0 })
      }
      if bytes == [UInt8(ascii: ".")] || bytes == Array("..".utf8) { continue }
      try note(bytes, in: prefix, folders: &folders)
    }
  }

  private mutating func note(
    _ bytes: [UInt8],
    in prefix: String,
    folders: inout [String]
  ) throws(TesseraError) {
    let name = String(decoding: bytes, as: UTF8.self)
    let relative = prefix + name
    let isImage = ImageInputs.isImageName(name)
    guard String(validating: bytes, as: UTF8.self) != nil else {
      let reason = "its name is not UTF-8: rename the file"
      if isImage { files.append(File(path: relative, refusal: reason)) }
      return
    }
    var status = stat()
    guard unsafe lstat(root + "/" + relative, &status) == 0 else {
      guard errno == ENOENT else {
        throw TesseraError.system("look at", root + "/" + relative, errno)
      }
      if isImage { files.append(File(path: relative, refusal: "it vanished while listed")) }
      return
    }
    switch status.st_mode & S_IFMT {
    case S_IFDIR: folders.append(relative + "/")
    case S_IFLNK: try noteLink(relative, isImage: isImage)
    case S_IFREG: if isImage { files.append(File(path: relative, refusal: nil)) }
    default: if isImage { files.append(File(path: relative, refusal: "no regular file")) }
    }
  }

  private mutating func noteLink(_ relative: String, isImage: Bool) throws(TesseraError) {
    let target = Self.realPath(root + "/" + relative)
    let error = TesseraError.system("follow the link", root + "/" + relative, errno)
    guard target != nil || error.isAboutPath else { throw error }
    var status = stat()
    if unsafe stat(root + "/" + relative, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      notes.append("\(root)/\(relative): a linked folder, not entered; name it as an input")
      return
    }
    guard isImage else { return }
    let isInside = target.map { $0.hasPrefix(realRoot + "/") } ?? false
    let reason =
      target == nil ? "a link to nothing" : "a link that leaves the folder: name its target instead"
    files.append(File(path: relative, refusal: isInside ? nil : reason))
  }

  private static func realPath(_ path: String) -> String? {
    guard let resolved = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }
}
