import Foundation
public import TesseraCore

/// Finds out what kind of checkpoint a path is, by its content.
public enum Checkpoint {
  /// Opens a checkpoint of any supported format to read its tensors.
  ///
  /// What expands beyond measure is refused: strides of 0, fill values, views of one storage and
  /// compressed zeros make terabytes of a few bytes. The floor and the ratio are those of zip files.
  ///
  /// - Parameters:
  ///   - path: A file or a folder.
  ///   - opaqueType: What untyped elements of the same width in HDF5 and numpy are; nil refuses them.
  /// - Returns: The reader of the format that was found.
  /// - Throws: As `list(_:opaqueAs:)`; `TesseraError` where the tensors take more than 256 MiB and
  ///   more than a hundred times the bytes of the files.
  public static func open(
    _ path: String,
    opaqueAs opaqueType: ElementType? = nil
  ) throws -> any CheckpointReader {
    let checkpoint = try list(path, opaqueAs: opaqueType)
    let files = checkpoint.files
    guard !files.isEmpty else { return checkpoint }
    let stored = try files.reduce(0) { $0 + (try FileRegion(path: $1).length) }
    var bytes = 0
    for tensor in checkpoint.tensors {
      let count = tensor.shape.elementCount.flatMap { tensor.elementType.byteCount(elements: $0) }
      let (sum, overflow) = bytes.addingReportingOverflow(count ?? .max)
      bytes = overflow ? .max : sum
    }
    guard ZipArchive.Member.isPlausible(size: bytes, from: stored) else {
      let cause =
        "its tensors take \(bytes) bytes, its files \(stored): expanded, empty or all alike; save what "
        + "is needed of them"
      throw TesseraError.malformed(cause, file: path)
    }
    return checkpoint
  }

  /// Opens a checkpoint of any supported format to see what is in it.
  ///
  /// Known: HDF5 and Keras files, `.keras` archives, safetensors, every format of PyTorch's, pickles,
  /// shard indexes of both, `.npy` and `.npz`, GGUF, Flax' MessagePack, ONNX, and a folder that holds
  /// one of these.
  ///
  /// - Parameters:
  ///   - path: A file or a folder.
  ///   - opaqueType: What untyped elements of the same width in HDF5 and numpy are; nil refuses them.
  /// - Returns: The reader of the format that was found.
  /// - Throws: `TesseraError` where the content is none of these; else the format's own error.
  public static func list(
    _ path: String,
    opaqueAs opaqueType: ElementType? = nil
  ) throws -> any CheckpointReader {
    let path = try file(of: path)
    if path.hasSuffix(".distcp") { throw TesseraError.malformed(distributed, file: path) }
    switch try CheckpointContent(of: path) {
    case .hdf5, .keras: return try HDF5Checkpoint(path: path, opaqueAs: opaqueType)
    case .safetensors: return try SafetensorsCheckpoint(path: path)
    case .torch: return try TorchCheckpoint(path: path)
    case .numpy: return try NumpyCheckpoint(path: path, rawAs: opaqueType)
    case .gguf: return try GGUFCheckpoint(region: FileRegion(path: path))
    case .flax: return try FlaxCheckpoint(region: FileRegion(path: path))
    case .onnx: return try ONNXCheckpoint(region: FileRegion(path: path))
    case .json:
      if path.hasSuffix(TorchShards.suffix) { return try TorchShards(path: path) }
      if path.hasSuffix(KerasShards.suffix) {
        return try HDF5Checkpoint(path: path, opaqueAs: opaqueType)
      }
      guard path.hasSuffix(SafetensorsIndex.suffix) else {
        let cause =
          "JSON, but no index: one is named '….safetensors.index.json', '….bin.index.json' or "
          + "'….weights.json'"
        throw TesseraError.malformed(cause, file: path)
      }
      return try SafetensorsCheckpoint(path: path)
    case .missing(let words): throw TesseraError.malformed(words, file: path)
    case .other(let what):
      let cause =
        "\(what), no checkpoint that can be read here (HDF5, Keras, safetensors, PyTorch, "
        + "numpy, GGUF, Flax, ONNX)"
      throw TesseraError.malformed(cause, file: path)
    }
  }

  /// The file that opening a path opens: itself, or the one checkpoint in the folder.
  ///
  /// - Parameter path: A file or a folder.
  /// - Returns: The path of a file.
  /// - Throws: `TesseraError` where a folder holds none or several.
  public static func file(of path: String) throws -> String {
    isFolder(path) ? try file(inFolder: path) : path
  }

  /// Whether a path is a folder.
  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether a path in a folder leads to a file of that folder, or of the download cache around it.
  package static func isInside(_ name: String, of folder: String) -> Bool {
    struct Outside: Error {}
    return (try? SafePath.path(of: name, in: folder) { _ in Outside() }) != nil
  }

  /// Endings of checkpoints in the order in which a folder is searched for one.
  package static let endings = [
    SafetensorsIndex.suffix, ".safetensors", TorchShards.suffix, ".bin", ".keras",
    KerasShards.suffix, ".weights.h5", ".h5", ".hdf5", ".pth", ".pt", ".ckpt", ".pkl", ".msgpack",
    ".gguf", ".npz", ".onnx",
  ]
  /// The ending of files of originals that a conversion kept beside its result: no models of their own.
  package static let originalsEnding = ".exact.safetensors"
  /// The names that Hugging Face's libraries give weights; they come before others of their ending.
  private static let usualNames = ["model.", "pytorch_model.", "diffusion_pytorch_model."]

  /// What to do with PyTorch's distributed checkpoints, whose files hold parts of tensors.
  private static let distributed =
    "a distributed checkpoint of PyTorch's: put it together with 'python -m "
    + "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE.pt'"

  /// The one checkpoint in a folder: an index before a file, safetensors before other formats, the
  /// usual names before others.
  private static func file(inFolder folder: String) throws -> String {
    let names = try FolderListing.names(of: folder)
    let visible = names.filter { !$0.hasPrefix(".") && !$0.hasSuffix(originalsEnding) }
    for ending in endings {
      let candidates = visible.filter { $0.hasSuffix(ending) }.sorted()
      guard let first = candidates.first else { continue }
      let usual = candidates.first { name in usualNames.contains { name == $0 + ending.dropFirst() }
      }
      guard candidates.count == 1 || usual != nil else {
        let list = candidates.prefix(4).joined(separator: ", ")
        throw TesseraError.malformed("holds several checkpoints (\(list)); name one", file: folder)
      }
      let name = usual ?? first
      if let part = name.firstMatch(of: /-([0-9]{5})-of-([0-9]{5})\./), part.output.2 != "00001" {
        let cause =
          "holds only '\(name)', one of \(Int(part.output.2) ?? 0) parts of a model, and no index of "
          + "them: get the others, or name the file to convert it alone"
        throw TesseraError.mismatch(cause, file: folder)
      }
      return "\(folder)/\(name)"
    }
    if names.contains(".metadata"), names.contains(where: { $0.hasSuffix(".distcp") }) {
      throw TesseraError.malformed(distributed, file: folder)
    }
    let known = endings.joined(separator: ", ")
    throw TesseraError.malformed("a folder without a checkpoint (\(known))", file: folder)
  }
}
