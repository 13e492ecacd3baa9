import Foundation
public import Tensors

/// Finds out what kind of checkpoint a path is, by its content.
public enum Checkpoint {
  /// Opens a checkpoint of any supported format.
  ///
  /// Known: HDF5 and Keras files, `.keras` archives, safetensors files, their shard index, and a
  /// folder that holds one of these.
  ///
  /// - Parameters:
  ///   - path: A file or a folder.
  ///   - opaqueType: What untyped elements of the same width in HDF5 are; nil refuses them.
  /// - Returns: The reader of the format that was found.
  /// - Throws: `CheckpointError` where the content is none of these; else the format's own error.
  public static func open(
    _ path: String,
    opaqueAs opaqueType: ElementType? = nil
  ) throws -> any CheckpointReader {
    let path = try file(of: path)
    switch try Content(of: path) {
    case .hdf5, .zip: return try HDF5Checkpoint(path: path, opaqueAs: opaqueType)
    case .safetensors: return try SafetensorsCheckpoint(path: path)
    case .json:
      guard path.hasSuffix(SafetensorsIndex.suffix) else {
        let cause = "JSON, but no index: one is named '….safetensors.index.json'"
        throw CheckpointError(path: path, cause: cause)
      }
      return try SafetensorsCheckpoint(path: path)
    case .other(let what):
      let cause = "\(what), no checkpoint that can be read here (HDF5, Keras, safetensors)"
      throw CheckpointError(path: path, cause: cause)
    }
  }

  /// The file that opening a path opens: itself, or the one checkpoint in the folder.
  ///
  /// - Parameter path: A file or a folder.
  /// - Returns: The path of a file.
  /// - Throws: `CheckpointError` where a folder holds none or several; `FileError`.
  public static func file(of path: String) throws -> String {
    isFolder(path) ? try file(inFolder: path) : path
  }

  /// Whether a path is a folder.
  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The one checkpoint in a folder: an index before a file, the usual names before others.
  private static func file(inFolder folder: String) throws -> String {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
      throw FileError(operation: "list the folder", path: folder, code: EACCES)
    }
    let visible = names.filter { !$0.hasPrefix(".") }
    let indexes = visible.filter { $0.hasSuffix(SafetensorsIndex.suffix) }
    let endings = [".safetensors", ".keras", ".h5", ".hdf5"]
    let files = visible.filter { name in endings.contains { name.hasSuffix($0) } }
    for candidates in [indexes, files] where !candidates.isEmpty {
      let usual = candidates.first { $0.hasPrefix("model.safetensors") }
      guard candidates.count == 1 || usual != nil else {
        let list = candidates.sorted().prefix(4).joined(separator: ", ")
        throw CheckpointError(path: folder, cause: "holds several checkpoints (\(list)); name one")
      }
      return "\(folder)/\(usual ?? candidates[0])"
    }
    let cause = "a folder without a checkpoint (\(endings.joined(separator: ", ")) or an index)"
    throw CheckpointError(path: folder, cause: cause)
  }

  /// What a file's first bytes say it is.
  private enum Content {
    case hdf5, zip, safetensors, json
    case other(String)

    init(of path: String) throws {
      let region = try FileRegion(path: path)
      let start = try region.bytes(0..<min(16, region.length))
      func starts(with magic: [UInt8]) -> Bool { start.starts(with: magic) }
      if try Content.isHDF5(region) {
        self = .hdf5
      } else if starts(with: Array("PK\u{3}\u{4}".utf8)) {
        self = .zip
      } else if start.count > 8, start[8] == UInt8(ascii: "{"), start[4..<8].allSatisfy({ $0 == 0 })
      {
        self = .safetensors
      } else if starts(with: Array("{".utf8)) {
        self = .json
      } else if path.hasSuffix(".safetensors") {
        // Damaged: the reader of the format says what is wrong.
        self = .safetensors
      } else {
        self = .other(Content.words(for: start))
      }
    }

    /// The signature stands at 0, or after a user block at 512, 1024, 2048 and so on.
    private static func isHDF5(_ region: FileRegion) throws -> Bool {
      let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
      var offset = 0
      while offset + signature.count <= region.length {
        if try region.bytes(offset..<offset + signature.count) == signature { return true }
        offset = offset == 0 ? 512 : offset * 2
      }
      return false
    }

    private static func words(for start: [UInt8]) -> String {
      let known: [([UInt8], String)] = [
        (Array("GGUF".utf8), "a GGUF file"),
        ([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59], "an .npy file"),
        ([0x80], "a pickle"), ([0xFF, 0xD8, 0xFF], "a JPEG file"),
        ([0x89, 0x50, 0x4E, 0x47], "a PNG file"), ([0x1F, 0x8B], "a gzip file"),
      ]
      if start.isEmpty { return "an empty file" }
      if let match = known.first(where: { start.starts(with: $0.0) }) { return match.1 }
      let bytes = start.prefix(8).map { byte in
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
      }
      return "a file that starts with the bytes \(bytes.joined(separator: " "))"
    }
  }
}

/// Why a path is no checkpoint, in one line.
public struct CheckpointError: ClassifiedError, Hashable {
  /// The path as the user named it.
  public let path: String
  /// What it is instead, or what to do.
  public let cause: String

  /// Creates an error about a path.
  public init(path: String, cause: String) {
    self.path = path
    self.cause = cause
  }

  /// Always an input of the wrong kind.
  public var kind: FailureKind { .malformedInput }

  /// Path and cause on one line.
  public var description: String { "\(path): \(cause)" }
}
