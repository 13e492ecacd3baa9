import Foundation
public import TesseraCore

/// A dataset as `tokenize` wrote it, read back a shard at a time.
public struct TokenDataset: Sendable {
  /// The folder's path as the user gave it.
  public let path: String
  /// What `dataset.json` says.
  public let manifest: DatasetManifest

  /// Opens the dataset in a folder.
  ///
  /// - Throws: `TesseraError` where there is none, or where its manifest is damaged.
  public init(path: String) throws {
    self.path = path
    let file = try Self.file(DatasetManifest.fileName, in: path)
    do {
      manifest = try ManifestFile.read(DatasetManifest.self, at: file)
    } catch let error as TesseraError where [ENOENT, ENOTDIR].contains(error.code) {
      guard FileManager.default.fileExists(atPath: path) else {
        throw TesseraError.system("find", path, ENOENT)
      }
      throw TesseraError.malformed(
        "no finished dataset of Tessera's (\(DatasetManifest.fileName) is missing): name "
          + "the folder that tokenize or export wrote; files of other programs are not read",
        file: path
      )
    }
    guard Set(manifest.shards.map(\.name)).count == manifest.shards.count else {
      throw TesseraError.malformed("it lists a shard twice", file: file)
    }
  }

  /// The path of a file in the dataset's folder.
  ///
  /// - Throws: `TesseraError` where the name, or a link of that name, leaves the folder.
  package func file(_ name: String) throws -> String {
    try Self.file(name, in: path)
  }

  /// The path of a file in a dataset's folder; errors as ``file(_:)``.
  static func file(_ name: String, in folder: String) throws -> String {
    try SafePath.path(of: name, in: folder) { fault in
      TesseraError.malformed("the file '\(name.prefix(200))' \(fault)", file: folder)
    }
  }

  /// The samples of one shard, in order; their data are read when asked for.
  ///
  /// - Parameter shard: One of the manifest's.
  /// - Returns: As many samples as the manifest says.
  /// - Throws: `TesseraError` where the shard is damaged.
  public func samples(of shard: DatasetShard) throws -> [DatasetSample] {
    let file = try self.file(shard.name)
    guard manifest.settings.format == DatasetFormat.webdataset.rawValue else {
      throw TesseraError.malformed(
        "its layout is \(manifest.settings.format); export it to webdataset first",
        file: path
      )
    }
    let region = try FileRegion(path: file)
    var samples: [DatasetSample] = []
    for member in try TarMembers(path: file).members {
      guard member.isRegular, let (key, column) = Self.split(member.name) else {
        throw TesseraError.malformed("member '\(member.name)' belongs to no sample", file: file)
      }
      if samples.last?.key != key { samples.append(DatasetSample(key: key, file: region)) }
      let range = member.offset..<member.offset + member.size
      guard samples[samples.count - 1].add(column, range) else {
        throw TesseraError.malformed("member '\(member.name)' stands there twice", file: file)
      }
    }
    guard samples.count == shard.samples else {
      throw TesseraError.malformed(
        "\(samples.count) samples where the manifest says \(shard.samples)",
        file: file
      )
    }
    return samples
  }

  /// Splits a member's name at the first dot behind the last slash, as `webdataset` does.
  static func split(_ name: String) -> (key: String, column: String)? {
    // Bytes, not characters: this runs for every member of a dataset.
    let bytes = name.utf8
    let start = bytes.lastIndex(of: UInt8(ascii: "/")).map { bytes.index(after: $0) }
    let file = bytes[(start ?? bytes.startIndex)...]
    guard let dot = file.firstIndex(of: UInt8(ascii: ".")), dot != file.startIndex else {
      return nil
    }
    let (key, column) = (String(name[..<dot]), String(name[bytes.index(after: dot)...]))
    return SafePath.isInside(key) && !column.isEmpty ? (key, column) : nil
  }
}

/// One sample of a shard: its key and where its members are.
public struct DatasetSample: Sendable {
  /// The name of the sample.
  public let key: String
  private let file: FileRegion
  private var members: [String: Range<Int>] = [:]

  /// The most bytes of one member that are read.
  static let longestMember = 1 << 28

  init(key: String, file: FileRegion) {
    (self.key, self.file) = (key, file)
  }

  /// Takes a member in; false where its column is there already.
  fileprivate mutating func add(_ column: String, _ range: Range<Int>) -> Bool {
    members.updateValue(range, forKey: column) == nil
  }

  /// The extensions of the sample's members, sorted.
  public var columns: [String] { members.keys.sorted() }

  /// The bytes of one member.
  ///
  /// - Throws: `TesseraError` where there is no such member or it is too large.
  public func bytes(of column: String) throws -> [UInt8] {
    guard let range = members[column] else {
      throw TesseraError.malformed("it has no .\(column)", file: "\(file.name): \(key)")
    }
    guard range.count <= Self.longestMember else {
      throw TesseraError.malformed(
        "\(range.count) bytes are more than the \(Self.longestMember) allowed",
        file: "\(file.name): \(key).\(column)"
      )
    }
    return try file.bytes(range)
  }

  /// The array of one member that is an `.npy`.
  public func tensor(_ column: String) throws -> Tensor {
    try NPYFile.decode(bytes(of: column), from: "\(file.name): \(key).\(column)")
  }

  /// What the dataset says of the image.
  public func description() throws -> SampleDescription {
    try ManifestFile.decode(
      SampleDescription.self,
      from: bytes(of: "json"),
      of: "\(file.name): \(key).json"
    )
  }
}
