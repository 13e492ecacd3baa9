import Foundation
public import Tensors

/// A dataset as `tokenize` wrote it, read back a shard at a time.
public struct TokenDataset: Sendable {
  /// The folder's path as the user gave it.
  public let path: String
  /// What `dataset.json` says.
  public let manifest: DatasetManifest

  /// The longest manifest that is read: a line a shard, so millions of shards.
  static let longestManifest = 1 << 30

  /// Opens the dataset in a folder.
  ///
  /// - Throws: `FileError` where there is none, ``DatasetError`` where its manifest is damaged.
  public init(path: String) throws {
    self.path = path
    let file = "\(path)/\(DatasetManifest.fileName)"
    let region = try FileRegion(path: file)
    guard region.length <= Self.longestManifest else {
      throw DatasetError(place: file, reason: "\(region.length) bytes are no manifest")
    }
    do {
      let bytes = try region.bytes(0..<region.length)
      manifest = try CanonicalJSON.decode(DatasetManifest.self, from: bytes)
    } catch let error as DecodingError {
      throw DatasetError(place: file, reason: "not a dataset's manifest: \(Self.field(of: error))")
    }
    guard Set(manifest.shards.map(\.name)).count == manifest.shards.count else {
      throw DatasetError(place: file, reason: "it lists a shard twice")
    }
    for shard in manifest.shards where !SafePath.isInside(shard.name) {
      throw DatasetError(place: file, reason: "shard '\(shard.name)' is not below the folder")
    }
  }

  /// The samples of one shard, in order; their data are read when asked for.
  ///
  /// - Parameter shard: One of the manifest's.
  /// - Returns: As many samples as the manifest says.
  /// - Throws: `FileError`, or ``DatasetError`` where the shard is damaged.
  public func samples(of shard: DatasetShard) throws -> [DatasetSample] {
    let file = "\(path)/\(shard.name)"
    guard manifest.settings.format == DatasetFormat.webdataset.rawValue else {
      throw DatasetError(
        place: path,
        reason: "its layout is \(manifest.settings.format); export it to webdataset first"
      )
    }
    let region = try FileRegion(path: file)
    var samples: [DatasetSample] = []
    for member in try TarMembers(path: file).members {
      guard member.isRegular, let (key, column) = Self.split(member.name) else {
        throw DatasetError(place: file, reason: "member '\(member.name)' belongs to no sample")
      }
      if samples.last?.key != key { samples.append(DatasetSample(key: key, file: region)) }
      let range = member.offset..<member.offset + member.size
      guard samples[samples.count - 1].add(column, range) else {
        throw DatasetError(place: file, reason: "member '\(member.name)' stands there twice")
      }
    }
    guard samples.count == shard.samples else {
      throw DatasetError(
        place: file,
        reason: "\(samples.count) samples where the manifest says \(shard.samples)"
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

  private static func field(of error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, _): "the field '\(key.stringValue)' is missing"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      "the field '\(context.codingPath.map(\.stringValue).joined(separator: "."))' has another type"
    case .dataCorrupted(let context) where context.underlyingError == nil:
      context.debugDescription
    default: "no JSON"
    }
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
    self.key = key
    self.file = file
  }

  /// Takes a member in; false where its column is there already.
  fileprivate mutating func add(_ column: String, _ range: Range<Int>) -> Bool {
    members.updateValue(range, forKey: column) == nil
  }

  /// The extensions of the sample's members, sorted.
  public var columns: [String] { members.keys.sorted() }

  /// The bytes of one member.
  ///
  /// - Throws: `FileError`, or ``DatasetError`` where there is no such member or it is too large.
  public func bytes(of column: String) throws -> [UInt8] {
    guard let range = members[column] else {
      throw DatasetError(place: "\(file.name): \(key)", reason: "it has no .\(column)")
    }
    guard range.count <= Self.longestMember else {
      throw DatasetError(
        place: "\(file.name): \(key).\(column)",
        reason: "\(range.count) bytes are more than the \(Self.longestMember) allowed"
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
    do {
      return try CanonicalJSON.decode(SampleDescription.self, from: bytes(of: "json"))
    } catch is DecodingError {
      throw DatasetError(place: "\(file.name): \(key).json", reason: "not a sample's description")
    }
  }
}

/// Why a dataset cannot be read.
public struct DatasetError: ClassifiedError, Hashable {
  /// The file, and the sample in it where it is one sample's fault.
  public let place: String
  /// What is wrong.
  public let reason: String

  /// Creates an error.
  public init(place: String, reason: String) {
    self.place = place
    self.reason = reason
  }

  /// Always malformed input.
  public var kind: FailureKind { .malformedInput }

  /// The place and the reason in one line.
  public var description: String { "\(place): \(reason)" }
}

/// Paths that a file names and that must stay below a folder of ours.
package enum SafePath {
  /// Whether a relative path, joined to a folder, stays below it.
  package static func isInside(_ path: String) -> Bool {
    let slash = UInt8(ascii: "/")
    var part = path.utf8[path.utf8.startIndex...]
    guard !part.contains(0) else { return false }
    while true {
      let end = part.firstIndex(of: slash)
      let name = part[..<(end ?? part.endIndex)]
      guard !name.isEmpty, !name.elementsEqual(".".utf8), !name.elementsEqual("..".utf8) else {
        return false
      }
      guard let end else { return true }
      part = part[part.index(after: end)...]
    }
  }
}
