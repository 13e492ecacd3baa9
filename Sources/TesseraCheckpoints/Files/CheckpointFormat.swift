/// The formats of checkpoints that are written here.
public enum CheckpointFormat: String, Sendable, Hashable, CaseIterable {
  /// safetensors; the only one with shards.
  case safetensors
  /// An archive of numpy arrays.
  case npz
  /// HDF5, as h5py writes it.
  case hdf5 = "h5"
  /// Keras 3's `.weights.h5`.
  case kerasWeights = "weights.h5"
  /// A zip file that `torch.load(weights_only=True)` opens.
  case pytorch = "pt"
  /// GGUF version 3.
  case gguf

  /// The endings of file names that name a format.
  public static let endings = [
    ".safetensors", ".npz", ".weights.h5", ".h5", ".hdf5", ".pt", ".pth", ".bin", ".ckpt", ".gguf",
  ]

  /// The format that the ending of a path names.
  public init?(path: String) {
    guard let ending = Self.endings.first(where: path.hasSuffix) else { return nil }
    switch ending {
    case ".safetensors": self = .safetensors
    case ".npz": self = .npz
    case ".weights.h5": self = .kerasWeights
    case ".h5", ".hdf5": self = .hdf5
    case ".gguf": self = .gguf
    default: self = .pytorch
    }
  }

  /// The name that a file has in a folder, where the user names only the folder.
  public var usualFileName: String {
    switch self {
    case .safetensors: "model.safetensors"
    case .npz: "model.npz"
    case .hdf5: "model.h5"
    case .kerasWeights: "model.weights.h5"
    case .pytorch: "pytorch_model.bin"
    case .gguf: "model.gguf"
    }
  }

  /// Whether two names may stand for the same bytes.
  public var holdsAliases: Bool { self == .pytorch || self == .hdf5 }

  /// Lays out tensors.
  ///
  /// - Parameters:
  ///   - tensors: Each name once; aliases only where the format holds them.
  ///   - metadata: Strings about the file; the lengths count, the content may change later.
  ///   - gguf: What GGUF wants to know beside them.
  ///   - kerasNames: What Keras calls the holders of variables, by the path of their group.
  ///   - attributes: Groups and attributes of an HDF5 file that another one takes over.
  /// - Returns: Where everything goes.
  /// - Throws: An error where the format does not hold such tensors.
  package func layout(
    of tensors: [TensorInfo],
    metadata: [String: String],
    gguf: GGUFOptions = GGUFOptions(),
    kerasNames: [String: String] = [:],
    attributes: HDF5AttributeCopy? = nil
  ) throws -> any CheckpointLayout {
    switch self {
    case .safetensors: try SafetensorsLayout(tensors: tensors, metadata: metadata)
    case .npz: try NPZLayout(tensors: tensors, metadata: metadata)
    case .hdf5: try HDF5Layout(tensors: tensors, attributes: attributes)
    case .kerasWeights:
      try HDF5Layout(kerasVariables: tensors, names: kerasNames, attributes: attributes)
    case .pytorch: try PyTorchLayout(tensors: tensors, metadata: metadata)
    case .gguf: try GGUFLayout(tensors: tensors, metadata: metadata, options: gguf)
    }
  }
}
