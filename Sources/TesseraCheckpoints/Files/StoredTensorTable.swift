import TesseraCore

/// Tensors with the places of their data: what most readers are made of.
struct StoredTensorTable: Sendable {
  private struct Entry: Sendable {
    let identity: String
    let bytes: StorageBytes
    let stored: StoredTensor
  }

  /// What is in the table, in the order in which it was added.
  private(set) var tensors: [TensorInfo] = []
  private var entries: [String: Entry] = [:]
  private let file: String
  private let unpacked = UnpackedStorages()
  private let window = GatherWindow()

  /// An empty table of a file.
  init(file: String) { self.file = file }

  /// Whether there is a tensor of a name.
  func contains(_ name: String) -> Bool { entries[name] != nil }

  /// Adds a tensor, whose name must be new; `identity` names its storage.
  mutating func add(
    _ stored: StoredTensor,
    named name: String,
    in bytes: StorageBytes,
    identity: String,
    aliasOf alias: String? = nil
  ) {
    tensors.append(
      TensorInfo(name: name, elementType: stored.elementType, shape: stored.shape, aliasOf: alias)
    )
    entries[name] = Entry(identity: identity, bytes: bytes, stored: stored)
  }

  /// Reads a range of a tensor's elements; see `CheckpointReader`.
  func read(
    _ elements: Range<Int>,
    of tensor: TensorInfo,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    guard let entry = entries[tensor.name] else {
      preconditionFailure("'\(tensor.name)' is no tensor of this checkpoint")
    }
    unsafe tensor.check(elements, fill: buffer)
    guard !elements.isEmpty else { return }
    let region = try unpacked.region(of: entry.bytes, identity: entry.identity)
    try unsafe region.read(
      elements,
      of: entry.stored,
      named: tensor.name,
      into: buffer,
      through: window
    )
    if tensor.elementType == .bool, unsafe buffer.contains(where: { $0 > 1 }) {
      let cause = "a truth value that is neither 0 nor 1"
      throw TesseraError.malformed(cause, file: file, place: tensor.name)
    }
  }
}

extension TensorInfo {
  /// Traps where a range of elements leaves the tensor or does not fill its buffer: a caller's mistake.
  func check(_ elements: Range<Int>, fill buffer: UnsafeMutableRawBufferPointer) {
    precondition(
      elements.lowerBound >= 0 && elements.upperBound <= shape.elementCount ?? 0
        && elementType.byteCount(elements: elements.count) == buffer.count,
      "a range lies inside the tensor and fills its buffer"
    )
  }
}
