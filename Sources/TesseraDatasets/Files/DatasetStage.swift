package import TesseraCore

/// The folder in which a dataset is put together, out of sight until it is complete.
package final class DatasetStage {
  /// The folder's path; it exists.
  package let folder: String
  /// The files that hold samples, as far as they are finished.
  package private(set) var shards: [DatasetShard] = []
  /// The other finished files.
  package private(set) var files: [DatasetFile] = []

  private var list: StagedFile?
  private let barrier: FileSystemBarrier
  private var hasSmallFiles = false
  /// The folders that were made, by name; none where small files make the barrier due.
  private var folders: Set<String> = []

  /// Works in an empty folder.
  package init(folder: String) {
    self.folder = folder
    barrier = FileSystemBarrier(folder)
  }

  /// Makes all names and all small files durable; those that were finished are so already.
  package func synchronize() throws(TesseraError) {
    if hasSmallFiles { return try barrier.wait() }
    for name in folders { try OutputFolder.synchronize("\(folder)/\(name)") }
    try OutputFolder.synchronize(folder)
  }

  /// Writes one of many small files, in a folder that was made before.
  func writeSmall(_ bytes: [UInt8], to name: String) throws(TesseraError) {
    if !hasSmallFiles { (hasSmallFiles, folders) = (true, []) }
    try SmallFile.write(bytes, to: "\(folder)/\(name)")
  }

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
  func makeFolder(_ name: String) throws(TesseraError) {
    try OutputFolder.make("\(folder)/\(name)", isDurable: false)
    var part = name[...]
    while !hasSmallFiles, !part.isEmpty, folders.insert(String(part)).inserted {
      part = part[..<(part.lastIndex(of: "/") ?? part.startIndex)]
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
    try writeSmall(bytes, to: name)
    let list = try list ?? create(DatasetFileList.fileName)
    self.list = list
    let file = DatasetFile(name: name, bytes: bytes.count, sha256: FileDigest.sha256(of: bytes))
    try list.write(file.line)
  }

  /// Ends the list of small files, after the last one.
  func finishList() throws {
    guard let list else { return }
    add(try list.finish())
    self.list = nil
  }

  /// Gives finished shards their last names, once their number is known.
  func rename(_ name: (_ index: Int, _ count: Int) -> String) throws {
    for (index, shard) in shards.enumerated() {
      let target = name(index, shards.count)
      try OutputFolder.rename("\(folder)/\(shard.name)", to: "\(folder)/\(target)")
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
