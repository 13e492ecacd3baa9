import Foundation
package import TesseraCore

/// An output folder that takes files one by one: the pictures of `decode` and `prepare`.
///
/// Each appears complete. While a run is at work, or after it was killed, `.tessera` holds its lock and what
/// the run was to make: the same run again goes on, writing every file anew, and another is refused.
package final class PictureFolder {
  /// The folder.
  package let path: String
  private let owner: FolderOwner
  private var folders: Set<String> = []
  /// Says what this run is to make, as long as nothing of it is there; then it stays for the next run.
  private var draftMark: String?

  private static let rememberedFolders = 1 << 16

  /// Takes a folder.
  ///
  /// - Parameters:
  ///   - path: The folder; made where there is none.
  ///   - verb: What the run does.
  ///   - identity: What it is to make, for a folder that must be new, empty or begun by the same run; nil
  ///     where the files may stand beside others.
  /// - Throws: `TesseraError` where the folder holds anything else.
  package init(_ path: String, verb: String, identity: String?) throws {
    let folder = DatasetFolder(path)
    self.path = folder.path
    try Self.refuseDataset(in: folder, verb)
    let isContinued = try Self.isContinued(folder, verb)
    if identity != nil, !isContinued { try Self.refuseForeign(in: folder) }
    owner = try FolderOwner(of: folder.path, verb: verb)
    // Another run may have ended meanwhile.
    try Self.refuseDataset(in: folder, verb)
    let mark = "\(owner.work)/\(verb)"
    if let identity {
      let isMarked = try FileTree.exists(mark)
      if !isContinued, !isMarked { try Self.refuseForeign(in: folder) }
      if isMarked, try !Self.isEmpty(folder), try FileTree.read(mark) != Array(identity.utf8) {
        throw TesseraError.otherPlan(folder: folder.path, difference: "another \(verb)")
      }
    }
    guard let identity else { return }
    try owner.clear(keeping: [verb])
    if try Self.isEmpty(folder) {
      try removePartialFiles()
      draftMark = mark
      Interruption.add(mark)
    }
    try FileTree.write(Array(identity.utf8), to: mark)
  }

  deinit {
    if let draftMark { _ = unsafe unlink(draftMark) }
    keepMark()
  }

  /// The mark tells the next run whose files these are: from the first one on.
  private func keepMark() {
    if let draftMark { Interruption.keep(draftMark) }
    draftMark = nil
  }

  /// Whether a folder holds nothing that is complete.
  private static func isEmpty(_ folder: DatasetFolder) throws -> Bool {
    try FileTree.entries(of: folder.path)
      .allSatisfy { hidden.contains($0) || AtomicFile.isPartial($0) }
  }

  /// Removes the files of a killed run that are not complete; not all of their names come again.
  private func removePartialFiles() throws {
    for name in try FileTree.entries(of: path) where AtomicFile.isPartial(name) {
      try OutputFolder.remove("\(path)/\(name)")
    }
  }

  private static let hidden: Set = ["lost+found", FolderOwner.workName]

  /// The verbs whose unfinished work has a mark.
  private static let marked = ["decode"]

  /// The mark of such work in a folder, that of `verb` left out; nil where there is none.
  static func mark(in folder: DatasetFolder, besides verb: String? = nil) throws -> String? {
    // A run that was killed before its first file has made nothing that could be lost.
    if try isEmpty(folder) { return nil }
    let others = marked.filter { $0 != verb }
    let found = try others.first { try FileTree.exists("\(folder.work)/\($0)") }
    return found.map { "\(FolderOwner.workName)/\($0)" }
  }

  /// A dataset, one that is planned, and what another verb began stay as they are.
  private static func refuseDataset(in folder: DatasetFolder, _ verb: String) throws {
    var entry = try mark(in: folder, besides: verb)
    if try FileTree.exists(folder.manifestPath) { entry = DatasetManifest.fileName }
    for work in ["plan", "published"] where try FileTree.exists("\(folder.work)/\(work)") {
      entry = "\(FolderOwner.workName)/\(work)"
    }
    if let entry { throw TesseraError.foreign(folder: folder.path, entry: entry) }
  }

  /// Whether a run of this verb was at work: it left its mark or, killed at its very end, nothing but its lock.
  private static func isContinued(_ folder: DatasetFolder, _ verb: String) throws -> Bool {
    if try FileTree.exists("\(folder.work)/\(verb)") { return true }
    guard try FileTree.exists(folder.work) else { return false }
    let names = try FileTree.entries(of: folder.work)
    guard names == ["lock"] else { return names.isEmpty }
    return try FileTree.read("\(folder.work)/lock") == Array(verb.utf8)
  }

  private static func refuseForeign(in folder: DatasetFolder) throws {
    let names = try FileTree.entries(of: folder.path).filter { !hidden.contains($0) }
    if let entry = names.min() {
      throw TesseraError.foreign(folder: folder.path, entry: entry)
    }
  }

  /// Writes a file; its name may hold folders that are not there yet.
  ///
  /// - Parameters:
  ///   - bytes: What it holds.
  ///   - name: The file's path below the folder.
  ///   - inputs: Files that must not be replaced.
  /// - Throws: `TesseraError` where the name leaves the folder.
  package func write(_ bytes: [UInt8], to name: String, reading inputs: [String] = []) throws {
    let place = try SafePath.path(of: name, in: path) { fault in
      TesseraError.malformed("the picture '\(name.prefix(200))' \(fault)", file: path)
    }
    let made = try makeFolder(of: place)
    try Interruption.protect {
      var file = try AtomicFile(inDataset: place, reading: inputs, isShared: false)
      try file.write(bytes)
      // Where a commit fails behind its rename, the file is there, and so stays what tells whose it is.
      defer {
        if (try? FileTree.exists(place)) ?? true {
          made.forEach(Interruption.keep)
          keepMark()
        }
      }
      try file.commit()
    }
  }

  /// Makes the folder of a file; those that were not there.
  private func makeFolder(of file: String) throws -> [String] {
    guard let slash = file.lastIndex(of: "/") else { return [] }
    let folder = String(file[..<slash])
    guard !folders.contains(folder) else { return [] }
    let made = try OutputFolder.make(folder)
    if folders.count == Self.rememberedFolders { folders.removeAll() }
    folders.insert(folder)
    return made
  }

  /// Ends the run: nothing hidden is left.
  ///
  /// - Throws: `TesseraError`.
  package func finish() throws(TesseraError) {
    try owner.finish()
    keepMark()
  }
}
