import Foundation
import TesseraCore

/// The output folder of an export: files come together in a hidden folder and appear when all are
/// complete, `dataset.json` last.
///
///     .tessera/lock        the run that works here
///     .tessera/export/     the files, until they are complete
///     .tessera/published   what was moved up, from the moment the first one is (``PublishedEntries``)
///
/// What a killed run left behind is removed by the next one of the same plan.
package struct DatasetPublication {
  /// The output folder.
  package let path: String

  private let owner: FolderOwner
  private let published: PublishedEntries
  /// Whether the folder is that of a plan, whose work stays where this one fails.
  private let isPlanned: Bool

  private var draft: String { "\(owner.work)/export" }
  private var manifestPath: String { "\(path)/\(manifestName)" }
  private var manifestName: String { DatasetManifest.fileName }

  /// Takes a new or empty folder, or one that a killed export began.
  ///
  /// - Parameters:
  ///   - path: The folder.
  ///   - plan: What is to be written, as a digest of all that it follows from.
  /// - Throws: `TesseraError` where the folder holds anything else.
  package init(_ path: String, plan: String) throws {
    let folder = DatasetFolder(path)
    self.path = folder.path
    published = PublishedEntries(of: plan, in: folder)
    isPlanned = false
    // Nothing is made in a folder that is refused.
    try Self.refuseForeign(in: folder, allowing: try published.names())
    owner = try FolderOwner(of: folder.path, verb: "export")
    do {
      // Another run may have ended meanwhile.
      try Self.refuseForeign(in: folder, allowing: try published.names())
      try removeDraft()
      try owner.clear()
    } catch {
      abandon()
      throw error
    }
  }

  /// Works inside the folder of a plan, which has its shards in the hidden folder.
  init(planned path: String, _ plan: String, _ owner: FolderOwner) throws {
    self.path = path
    published = PublishedEntries(of: plan, in: DatasetFolder(path))
    self.owner = owner
    isPlanned = true
    try removeDraft()
  }

  private static func refuseForeign(
    in folder: DatasetFolder,
    allowing names: Set<String>
  ) throws {
    let expected = names.union(["lost+found", FolderOwner.workName])
    var entries = try FileTree.entries(of: folder.path).filter { !expected.contains($0) }
    if try FileTree.exists(folder.planFolder) { entries.append(FolderOwner.workName) }
    if let entry = entries.min() {
      throw TesseraError.foreign(folder: folder.path, entry: entry)
    }
  }

  /// Makes the hidden folder.
  package func begin() throws -> DatasetStage {
    Interruption.add(draft)
    try OutputFolder.make(draft)
    return DatasetStage(folder: draft)
  }

  /// Moves everything to its place, the manifest last, and removes what is hidden.
  ///
  /// - Parameters:
  ///   - manifest: What it says.
  ///   - stage: What ``begin()`` gave; all its files are finished.
  /// - Throws: `TesseraError`.
  package func publish(_ manifest: DatasetManifest, of stage: DatasetStage) throws {
    try FileTree.write(try manifest.document(), to: "\(draft)/\(manifestName)")
    try stage.synchronize()
    let names = try FileTree.entries(of: draft).filter { $0 != manifestName }.sorted()
    try Interruption.protect {
      for name in names {
        // A plan left an empty folder of this name; whatever else is there is nobody's to replace.
        _ = unsafe rmdir("\(path)/\(name)")
        guard try !PublishedEntries.isThere("\(path)/\(name)") else {
          throw TesseraError.foreign(folder: path, entry: name)
        }
      }
      try published.write(names, in: draft)
      for name in names {
        try OutputFolder.rename("\(draft)/\(name)", to: "\(path)/\(name)")
      }
      try OutputFolder.synchronize(path)
      try OutputFolder.rename("\(draft)/\(manifestName)", to: manifestPath)
      try OutputFolder.synchronize(path)
      Interruption.keep(draft)
      try owner.finish()
    }
  }

  /// Removes what was written, after an error; what cannot be removed, the next run removes.
  package func abandon() {
    guard (try? FileTree.exists(manifestPath)) == false else { return }
    defer { Interruption.keep(draft) }
    // With its record gone, nobody would know any more whose files these are.
    guard (try? removeDraft()) != nil else { return }
    if !isPlanned { try? owner.finish() }
  }

  private func removeDraft() throws {
    try published.remove()
    try OutputFolder.remove(draft)
  }
}
