import TesseraCore

/// A tensor inside a storage, which may be packed or shared by several tensors.
struct StorageView: TensorPlace {
  fileprivate let name: String
  fileprivate let stored: StoredTensor
  fileprivate let bytes: StorageBytes
  fileprivate let identity: String
  fileprivate let storages: OpenStorages

  /// Reads elements, gathering those that do not lie one after the other.
  func read(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
    let region = try storages.unpacked.region(of: bytes, identity: identity)
    try unsafe region.read(
      elements,
      of: stored,
      named: name,
      into: buffer,
      through: storages.window
    )
    if stored.elementType == .bool {
      try unsafe TesseraError.check(truthValues: buffer, of: name, in: storages.file)
    }
  }
}

/// What the tensors of one file are read through.
private struct OpenStorages: Sendable {
  let file: String
  let unpacked = UnpackedStorages()
  let window = GatherWindow()
}

/// Tensors in storages: what the readers of PyTorch, numpy and ONNX find.
struct StoredTensorTable: Sendable {
  /// The tensors so far.
  var found: TensorTable<StorageView>
  private let storages: OpenStorages

  /// An empty table of a file.
  init(file: String) {
    found = TensorTable(files: [file])
    storages = OpenStorages(file: file)
  }

  /// Whether there is a tensor of a name.
  func contains(_ name: String) -> Bool { found.place(of: name) != nil }

  /// Adds a tensor, whose name must be new; `identity` names its storage.
  mutating func add(
    _ stored: StoredTensor,
    named name: String,
    in bytes: StorageBytes,
    identity: String,
    aliasOf alias: String? = nil
  ) {
    found.add(
      TensorInfo(name: name, elementType: stored.elementType, shape: stored.shape, aliasOf: alias),
      at: StorageView(
        name: name,
        stored: stored,
        bytes: bytes,
        identity: identity,
        storages: storages
      )
    )
  }
}
