import Foundation
import TesseraCore

/// The output folder of an export: files come together in a hidden folder and appear when all are
/// complete, `dataset.json` last.
///
///     .tessera/lock        the run that works here
///     .tessera/export/     the files, until they are complete
///     .tessera/published   the names that were moved up, from the moment the first one is
///
/// What a killed run left behind is removed by the next one.
public struct DatasetPublication {
  /// The output folder.
  public let path: String

  private let owner: FolderOwner
  /// Whether the folder is that of a plan, whose work stays where this one fails.
  private let isPlanned: Bool

  private var draft: String { "\(owner.work)/export" }
  private var record: String { "\(owner.work)/published" }
  private var manifestPath: String { "\(path)/\(manifestName)" }
  private var manifestName: String { DatasetManifest.fileName }

  /// Takes a new or empty folder, or one that a killed export began.
  ///
  /// - Throws: `DatasetFolderError` where the folder holds anything else, `OutputInUseError`,
  ///   `FileError`.
  public init(_ path: String) throws {
    let folder = DatasetFolder(path)
    self.path = folder.path
    isPlanned = false
    // Nothing is made in a folder that is refused.
    try Self.refuseForeign(in: folder, allowing: try Self.published(in: folder))
    owner = try FolderOwner(of: folder.path, verb: "export")
    do {
      // Another run may have ended meanwhile.
      try Self.refuseForeign(in: folder, allowing: try Self.published(in: folder))
      try removeDraft()
      try owner.clear()
    } catch {
      abandon()
      throw error
    }
  }

  /// Works inside the folder of a plan, which has its shards in the hidden folder.
  init(planned path: String, _ owner: FolderOwner) throws {
    self.path = path
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
      throw DatasetFolderError.foreign(folder: folder.path, entry: entry)
    }
  }

  /// What a killed export had moved to its place, its manifest not among it.
  private static func published(in folder: DatasetFolder) throws -> Set<String> {
    let record = "\(folder.work)/published"
    guard try !FileTree.exists(folder.manifestPath), try FileTree.exists(record) else { return [] }
    let names = try FileTree.read(record).split(separator: UInt8(ascii: "\n"))
    return Set(names.map { String(decoding: $0, as: UTF8.self) }.filter(SafePath.isInside))
  }

  /// Makes the hidden folder.
  public func begin() throws -> DatasetStage {
    Interruption.add(draft)
    if !isPlanned { Interruption.add(scaffold: path) }
    try OutputFolder.make(draft)
    return DatasetStage(folder: draft)
  }

  /// Moves everything to its place, the manifest last, and removes what is hidden.
  ///
  /// - Parameters:
  ///   - manifest: What it says.
  ///   - stage: What ``begin()`` gave; all its files are finished.
  /// - Throws: `FileError`.
  public func publish(_ manifest: DatasetManifest, of stage: DatasetStage) throws {
    try FileTree.write(try manifest.document(), to: "\(draft)/\(manifestName)")
    try stage.synchronize()
    let names = try FileTree.entries(of: draft).filter { $0 != manifestName }.sorted()
    try Interruption.protect {
      try FileTree.write(Array(names.joined(separator: "\n").utf8), to: record)
      for name in names {
        // A plan left an empty folder of this name.
        _ = unsafe rmdir("\(path)/\(name)")
        try OutputFolder.rename("\(draft)/\(name)", to: "\(path)/\(name)")
      }
      try OutputFolder.synchronize(path)
      try OutputFolder.rename("\(draft)/\(manifestName)", to: manifestPath)
      try OutputFolder.synchronize(path)
      keep()
      try owner.finish()
    }
  }

  private func keep() {
    Interruption.keep(draft)
    if !isPlanned { Interruption.keep(path) }
  }

  /// Removes what was written, after an error; what cannot be removed, the next run removes.
  public func abandon() {
    guard (try? FileTree.exists(manifestPath)) == false else { return }
    try? removeDraft()
    keep()
    guard !isPlanned else { return }
    try? owner.finish()
    _ = unsafe rmdir(path)
  }

  private func removeDraft() throws {
    for name in try Self.published(in: DatasetFolder(path)) {
      try OutputFolder.remove("\(path)/\(name)")
    }
    try OutputFolder.remove(record)
    try OutputFolder.remove(draft)
  }
}
