import Foundation
public import Tensors

/// Finds out what kind of checkpoint a path is, by its content.
public enum Checkpoint {
  /// Opens a checkpoint of any supported format.
  ///
  /// Known: HDF5 and Keras files, `.keras` archives, safetensors files, their shard index, every file
  /// of PyTorch's, pickles, and a folder that holds one of these.
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
    switch try CheckpointContent(of: path) {
    case .hdf5, .keras: return try HDF5Checkpoint(path: path, opaqueAs: opaqueType)
    case .safetensors: return try SafetensorsCheckpoint(path: path)
    case .torch: return try TorchCheckpoint(path: path)
    case .json:
      guard path.hasSuffix(SafetensorsIndex.suffix) else {
        let cause = "JSON, but no index: one is named '….safetensors.index.json'"
        throw CheckpointError(path: path, cause: cause)
      }
      return try SafetensorsCheckpoint(path: path)
    case .other(let what):
      let cause = "\(what), no checkpoint that can be read here (HDF5, Keras, safetensors, PyTorch)"
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
    let endings = [".safetensors", ".keras", ".h5", ".hdf5", ".pt", ".pth", ".ckpt", ".pkl"]
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
