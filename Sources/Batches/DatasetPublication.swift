import Foundation
public import Readers
public import Writers

/// The output folder of an export: files come together in a hidden folder and appear when all are
/// complete, `dataset.json` last.
///
///     .tessera/export/     the files, until they are complete
///     .tessera/published   the names that were moved up, from the moment the first one is
///
/// What a killed run left behind is removed by the next one.
public struct DatasetPublication {
  /// The output folder.
  public let path: String

  private var work: String { "\(path)/.tessera" }
  private var draft: String { "\(work)/export" }
  private var record: String { "\(work)/published" }

  /// Takes a new or empty folder, or one that a killed export began.
  ///
  /// - Throws: `DatasetFolderError` where the folder holds anything else, `FileError`.
  public init(_ path: String) throws {
    self.path = DatasetFolder(path).path
    if !FileTree.exists("\(self.path)/\(DatasetManifest.fileName)") { removeDebris() }
    if let entry = try FileTree.entries(of: self.path).filter({ $0 != "lost+found" }).min() {
      throw DatasetFolderError.foreign(folder: path, entry: entry)
    }
  }

  /// Works inside the folder of a plan, which has its shards in the hidden folder.
  init(planned path: String) {
    self.path = path
    removeDraft()
  }

  /// Makes the hidden folder.
  public func begin() throws -> DatasetStage {
    try FileTree.makeFolder(draft)
    return DatasetStage(folder: draft)
  }

  /// Moves everything to its place; the manifest last.
  public func publish(_ manifest: DatasetManifest) throws {
    try FileTree.write(try manifest.document(), to: "\(draft)/\(manifestName)")
    let names = try FileTree.entries(of: draft).filter { $0 != manifestName }.sorted()
    try FileTree.write(Array(names.joined(separator: "\n").utf8), to: record)
    for name in names + [manifestName] {
      // A plan left an empty folder of this name.
      _ = unsafe rmdir("\(path)/\(name)")
      try FileTree.rename("\(draft)/\(name)", to: "\(path)/\(name)")
    }
    FileTree.remove(work)
  }

  /// Removes what was written, after an error.
  public func abandon() {
    removeDraft()
    _ = unsafe rmdir(work)
    _ = unsafe rmdir(path)
  }

  private var manifestName: String { DatasetManifest.fileName }

  private func removeDraft() {
    if let names = try? FileTree.read(record) {
      for name in names.split(separator: UInt8(ascii: "\n")) {
        let name = String(decoding: name, as: UTF8.self)
        if SafePath.isInside(name) { FileTree.remove("\(path)/\(name)") }
      }
    }
    FileTree.remove(record)
    FileTree.remove(draft)
  }

  /// Removes what a killed export left; the work of a plan stays.
  private func removeDebris() {
    guard !FileTree.exists("\(work)/plan"), FileTree.exists(work) else { return }
    removeDraft()
    _ = unsafe rmdir(work)
  }
}
