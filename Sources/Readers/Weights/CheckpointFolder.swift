import Foundation

/// The folder of a file that names others, which must not leave it.
struct CheckpointFolder {
  /// The folder's path as the user wrote it; empty for the working folder.
  let path: String

  /// The folder of a file.
  init(of file: String) { path = (file as NSString).deletingLastPathComponent }

  /// The path of a file that is named inside the folder.
  ///
  /// - Parameters:
  ///   - name: A relative path without `..`; links must stay in the folder.
  ///   - refusal: Makes the error of what is wrong with the name.
  /// - Returns: The path to open.
  /// - Throws: What `refusal` makes.
  func path(of name: String, refusal: (String) -> some Error) throws -> String {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    guard !parts.contains(where: { ["", ".", ".."].contains($0) }),
      !name.utf8.contains(where: { $0 == 0x5C || $0 < 0x20 })
    else { throw refusal("must be a file in the folder of the one that names it") }
    let target = path.isEmpty ? name : "\(path)/\(name)"
    // What is not there is said by whoever opens it.
    guard let root = CheckpointFolder.resolved(path.isEmpty ? "." : path),
      let real = CheckpointFolder.resolved(target)
    else { return target }
    // The download cache of Hugging Face keeps files in `blobs` and links them from
    // `snapshots/<id>`.
    let blobs = CheckpointFolder.resolved("\(root)/../../blobs")
    let isInside = real.hasPrefix(root == "/" ? root : root + "/")
    guard isInside || (real as NSString).deletingLastPathComponent == blobs else {
      throw refusal("is a link that leaves the folder, to '\(real)'")
    }
    return target
  }

  private static func resolved(_ path: String) -> String? {
    guard let real = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(real) }
    return unsafe String(cString: real)
  }
}
