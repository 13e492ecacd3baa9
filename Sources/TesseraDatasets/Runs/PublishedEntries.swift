import Foundation
import TesseraCore

/// What a run that was killed while it published had moved up to the output folder: files and folders
/// that the next run of the same plan removes.
///
/// The record may come from elsewhere with its folder. It counts for its own plan alone, and for an entry
/// only as long as that is the very file or folder that the run moved: names alone could be anybody's.
struct PublishedEntries {
  private let plan: String
  private let folder: DatasetFolder

  private var path: String { "\(folder.work)/published" }

  /// What a move does not change of a file or folder, and what replaces it does not have.
  private struct Identity: Codable, Hashable {
    /// Its number in the file system, which may be given again.
    let inode: UInt64
    /// When it was written last, in nanoseconds.
    let changed: Int

    /// Looks at a file or folder; nil where there is none.
    init?(of path: String) throws(TesseraError) {
      guard let status = try PublishedEntries.status(of: path) else { return nil }
      inode = UInt64(status.st_ino)
      changed = Int(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int(status.st_mtim.tv_nsec)
    }
  }

  private struct Record: Codable {
    struct Entry: Codable {
      let name: String
      let identity: Identity
    }

    let plan: String
    let entries: [Entry]
  }

  /// Names the record of a plan in an output folder.
  init(of plan: String, in folder: DatasetFolder) {
    (self.plan, self.folder) = (plan, folder)
  }

  /// The names of what was moved up; none once the manifest is there.
  ///
  /// - Throws: `TesseraError`.
  func names() throws -> Set<String> {
    guard try !FileTree.exists(folder.manifestPath), try FileTree.exists(path) else { return [] }
    let record: Record
    do {
      record = try ManifestFile.read(Record.self, at: path)
    } catch let error as TesseraError where !error.isMachineFault {
      // Nothing of ours: then what lies in the folder is not, either.
      return []
    }
    guard record.plan == plan else { return [] }
    var names: Set<String> = []
    for entry in record.entries where Self.isTopLevel(entry.name) {
      let found = try Identity(of: "\(folder.path)/\(entry.name)")
      if found == entry.identity { names.insert(entry.name) }
    }
    return names
  }

  private static func isTopLevel(_ name: String) -> Bool {
    SafePath.isInside(name) && !name.utf8.contains(UInt8(ascii: "/"))
      && name != FolderOwner.workName
  }

  /// States what is about to be moved up.
  ///
  /// - Parameters:
  ///   - names: The entries of the output folder.
  ///   - draft: Where they are.
  /// - Throws: `TesseraError`.
  func write(_ names: [String], in draft: String) throws {
    let entries = try names.compactMap { name in
      try Identity(of: "\(draft)/\(name)").map { Record.Entry(name: name, identity: $0) }
    }
    let record = Record(plan: plan, entries: entries)
    try FileTree.write(try CanonicalJSON.line(record), to: path)
  }

  /// Removes what was moved up, then the record.
  ///
  /// - Throws: `TesseraError`.
  func remove() throws {
    for name in try names() {
      // As a whole, out of sight first: half of it would be something else.
      let place = folder.newDraft
      try OutputFolder.rename("\(folder.path)/\(name)", to: place)
      try OutputFolder.remove(place)
    }
    try OutputFolder.remove(path)
  }

  /// Whether a file or folder is there, or a link, wherever it leads.
  ///
  /// - Throws: `TesseraError` where that cannot be found out.
  static func isThere(_ path: String) throws(TesseraError) -> Bool { try status(of: path) != nil }

  private static func status(of path: String) throws(TesseraError) -> stat? {
    var status = stat()
    if unsafe lstat(path, &status) == 0 { return status }
    if [ENOENT, ENOTDIR].contains(errno) { return nil }
    throw TesseraError.system("look at", path, errno)
  }
}
