import TesseraCheckpoints
import TesseraCore
import TesseraRules

extension FuzzTarget {
  /// The readers of checkpoints: each opens what the content says, as the program does.
  static let checkpoints: [FuzzTarget] = [
    file("pickle", "input.pkl"), file("zip", "input.zip"), file("torch-tar", "input.pt"),
    file("safetensors", "input.safetensors"), file("gguf", "input.gguf"), file("npy", "input.npy"),
    file("msgpack", "input.msgpack"), file("onnx", "input.onnx"), file("hdf5", "input.h5"),
    file("keras", "input.keras"),
    FuzzTarget(name: "shards", form: .folder) { path in try exercise(Checkpoint.open(path)) },
  ]

  /// The targets of each ending that a checkpoint may have.
  static let endings: [String: [String]] = [
    ".safetensors.index.json": ["shards"], ".bin.index.json": ["shards"],
    ".weights.json": ["shards"],
    ".safetensors": ["safetensors"], ".keras": ["keras"], ".weights.h5": ["hdf5"],
    ".h5": ["hdf5"], ".hdf5": ["hdf5"], ".msgpack": ["msgpack"], ".gguf": ["gguf"],
    ".npz": ["npy", "zip"], ".onnx": ["onnx"], ".pkl": ["pickle"],
    ".bin": ["pickle", "torch-tar", "zip"], ".pth": ["pickle", "torch-tar", "zip"],
    ".pt": ["pickle", "torch-tar", "zip"], ".ckpt": ["pickle", "torch-tar", "zip"],
  ]

  private static func file(_ name: String, _ file: String) -> FuzzTarget {
    FuzzTarget(name: name, form: .file(file)) { path in
      let checkpoint = try Checkpoint.open(path)
      try exercise(checkpoint)
      guard let keras = checkpoint as? HDF5Checkpoint else { return }
      let model = try KerasModel(reading: keras)
      _ = try ConversionPlan(KerasToTorch.rules(for: model), of: keras)
    }
  }

  /// Reads the first and the last elements of each tensor, as a conversion would: the last ones are
  /// where an offset would leave the file.
  static func exercise(_ checkpoint: any CheckpointReader) throws {
    for tensor in checkpoint.tensors.prefix(64) {
      let total = tensor.shape.elementCount ?? 0
      let count = min(total, 4096)
      guard let size = tensor.elementType.byteCount(elements: count), count > 0 else { continue }
      var bytes = [UInt8](repeating: 0, count: size)
      for range in [0..<count, total - count..<total] {
        try unsafe bytes.withUnsafeMutableBytes { buffer in
          try unsafe checkpoint.read(range, of: tensor, into: buffer)
        }
      }
    }
  }
}
