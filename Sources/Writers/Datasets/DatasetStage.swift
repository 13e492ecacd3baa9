import Foundation
public import Readers

/// The folder in which a dataset is put together, out of sight until it is complete.
public final class DatasetStage {
  /// The folder's path; it exists.
  public let folder: String
  /// The files that hold samples, as far as they are finished.
  public private(set) var shards: [DatasetShard] = []
  /// The other finished files.
  public private(set) var files: [DatasetFile] = []

  private var list: StagedFile?

  /// Works in an empty folder.
  public init(folder: String) { self.folder = folder }

  /// Creates a file; its path may name folders that do not exist yet.
  func create(_ name: String, digests: Set<FileDigestKind> = []) throws -> StagedFile {
    if let slash = name.lastIndex(of: "/") { try makeFolder(String(name[..<slash])) }
    return try StagedFile(name: name, folder: folder, digests: digests)
  }

  /// Creates a file that helps to make another and is discarded before the end.
  func spool(_ name: String) throws -> StagedFile {
    try StagedFile(name: ".spool-\(name)", folder: folder, digests: nil)
  }

  /// Makes a folder and those above it.
  func makeFolder(_ name: String) throws {
    let path = "\(folder)/\(name)"
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw FileError(operation: "create the folder", path: path, code: errno)
    }
  }

  /// Takes a finished file of samples into the manifest.
  func add(_ file: FinishedFile, samples: Int, tokens: Int) {
    shards.append(
      DatasetShard(
        name: file.name,
        samples: samples,
        tokens: tokens,
        bytes: file.bytes,
        sha256: file.sha256
      )
    )
  }

  /// Takes a finished file without samples of its own into the manifest.
  func add(_ file: FinishedFile) {
    files.append(DatasetFile(name: file.name, bytes: file.bytes, sha256: file.sha256))
  }

  /// Writes a small file.
  func write(_ bytes: [UInt8], to name: String) throws {
    let file = try create(name)
    try file.write(bytes)
    add(try file.finish())
  }

  /// Writes a small file of which a layout has one or more a sample; a list of its own names it, since the
  /// manifest does not grow with the samples.
  func writeListed(_ bytes: [UInt8], to name: String) throws {
    try SmallFile.write(bytes, to: "\(folder)/\(name)")
    let list = try list ?? create(DatasetFileList.fileName)
    self.list = list
    let file = DatasetFile(name: name, bytes: bytes.count, sha256: FileDigest.sha256(of: bytes))
    try list.write(file.line)
  }

  /// Ends the list of small files, after the last one.
  func finishList() throws {
    guard let list else { return }
    SmallFile.synchronizeAll()
    add(try list.finish())
    self.list = nil
  }

  /// Gives finished shards their last names, once their number is known.
  func rename(_ name: (_ index: Int, _ count: Int) -> String) throws {
    for (index, shard) in shards.enumerated() {
      let target = name(index, shards.count)
      guard unsafe Foundation.rename("\(folder)/\(shard.name)", "\(folder)/\(target)") == 0 else {
        throw FileError(operation: "rename", path: "\(folder)/\(shard.name)", code: errno)
      }
      shards[index] = DatasetShard(
        name: target,
        samples: shard.samples,
        tokens: shard.tokens,
        bytes: shard.bytes,
        sha256: shard.sha256
      )
    }
  }
}

/// The number of a shard in five digits, more where there are more shards.
func shardDigits(_ index: Int, width: Int = 5) -> String {
  let digits = String(index)
  return String(repeating: "0", count: max(0, width - digits.count)) + digits
}
