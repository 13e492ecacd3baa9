import Foundation

/// Names that a file states and that are to become paths: the one place where they do.
///
/// Keys of samples, names of shards, checkpoints, arrays and members come from files of anybody's. A
/// name is good where, joined to a folder of ours, it cannot mean anything outside of it.
package enum SafePath {
  /// The most bytes of a part between slashes, and of a whole name, that file systems take.
  private static let longestPart = 255
  private static let longest = 4095

  /// What is wrong with a name, such as `has a part '..'`; nil where nothing is.
  package static func fault(of name: String) -> String? {
    guard !name.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
      return "has a control character"
    }
    return fault(ofPicture: name)
  }

  /// What is wrong with the path of a picture below the folder that was tokenized; nil where nothing is.
  ///
  /// Nothing is written under it, and people's files have all the names that file systems take.
  package static func fault(ofPicture name: String) -> String? {
    guard !name.isEmpty else { return "is empty" }
    guard !name.utf8.contains(0) else { return "has a NUL character" }
    guard name.utf8.count <= longest else { return "is longer than \(longest) bytes" }
    let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard parts.first?.isEmpty == false else { return "is an absolute path" }
    for part in parts {
      if part.isEmpty { return "has an empty part" }
      if part.elementsEqual("..".utf8) { return "has a part '..', which leaves the folder" }
      if part.elementsEqual(".".utf8) { return "has a part '.'" }
      if part.count > longestPart { return "has a part of more than \(longestPart) bytes" }
    }
    return nil
  }

  /// Whether a relative path, joined to a folder, stays below it.
  package static func isInside(_ name: String) -> Bool { fault(of: name) == nil }

  /// What is wrong with the name of a member of an archive; nil where nothing is.
  ///
  /// Nobody unpacks it here: members may be folders, and their names of any length.
  package static func fault(ofMember name: String) -> String? {
    let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let isOpen =
      name.isEmpty || parts.first?.isEmpty == true || parts.contains { $0.elementsEqual("..".utf8) }
    // Others unpack archives on systems where this is a slash.
    let isElsewhere = name.utf8.contains { $0 == UInt8(ascii: "\\") || $0 == 0 }
    return isOpen || isElsewhere ? "leaves the archive" : nil
  }

  /// The most bytes of a part of a key: with the longest ending it is a file's name.
  private static let longestKeyPart = 200

  /// What is wrong with the key of a sample; nil where nothing is.
  ///
  /// Keys become names of files and of members: printable ASCII, since readers of tars take no more, and
  /// no dots, since the name of a column begins at the first one.
  package static func fault(ofKey key: String) -> String? {
    if let fault = fault(of: key) { return fault }
    guard key.utf8.allSatisfy({ $0 < 0x7F }) else { return "has characters beyond ASCII" }
    guard !key.utf8.contains(UInt8(ascii: ".")) else { return "has a dot" }
    let parts = key.utf8.split(separator: UInt8(ascii: "/"))
    return parts.contains { $0.count > longestKeyPart }
      ? "has a part of more than \(longestKeyPart) bytes" : nil
  }

  /// The path of what a file names inside a folder.
  ///
  /// - Parameters:
  ///   - name: A relative path; links must stay in the folder.
  ///   - folder: The folder; empty for the working folder.
  ///   - refusal: Makes the error of what is wrong with the name.
  /// - Returns: The path to open.
  /// - Throws: What `refusal` makes.
  package static func path(
    of name: String,
    in folder: String,
    refusal: (String) -> some Error
  ) throws -> String {
    if let fault = fault(of: name) { throw refusal(fault) }
    return try path(ofPicture: name, in: folder, refusal: refusal)
  }

  /// The path of a picture below a folder: as ``path(of:in:refusal:)``, with any characters in its name.
  package static func path(
    ofPicture name: String,
    in folder: String,
    refusal: (String) -> some Error
  ) throws -> String {
    if let fault = fault(ofPicture: name) { throw refusal(fault) }
    let target = folder.isEmpty ? name : "\(folder)/\(name)"
    // What is not there is said by whoever opens it.
    guard let root = resolved(folder.isEmpty ? "." : folder), let real = resolved(target) else {
      return target
    }
    // The download cache of Hugging Face keeps files in `blobs` and links them from
    // `snapshots/<id>`.
    if real.hasPrefix(root == "/" ? root : root + "/") { return target }
    guard (real as NSString).deletingLastPathComponent == resolved("\(root)/../../blobs") else {
      throw refusal("is a link that leaves the folder, to '\(real)'")
    }
    return target
  }

  /// The path of what a file names beside itself: as ``path(of:in:refusal:)``, in the file's own folder.
  package static func path(
    of name: String,
    beside file: String,
    refusal: (String) -> some Error
  ) throws -> String {
    try path(of: name, in: (file as NSString).deletingLastPathComponent, refusal: refusal)
  }

  /// Whether a path is a link to another one in the same folder, or below it.
  package static func isLinkInside(_ path: String) -> Bool {
    let url = path as NSString
    guard let root = resolved(url.deletingLastPathComponent), let real = resolved(path) else {
      return false
    }
    return real != "\(root)/\(url.lastPathComponent)" && real.hasPrefix("\(root)/")
  }

  private static func resolved(_ path: String) -> String? {
    guard let real = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(real) }
    return unsafe String(cString: real)
  }
}
