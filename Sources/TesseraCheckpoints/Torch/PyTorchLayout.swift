package import TesseraCore

/// A zip file of PyTorch: a dictionary of tensors, which `torch.load(weights_only=True)` opens.
///
/// Members, order and alignment are those of `torch.save`, under the prefix `archive`. Aliases share
/// one storage. What the file says beside its tensors stands in a member that PyTorch passes over.
package struct PyTorchLayout: CheckpointLayout {
  /// The tensors, in the order given.
  package let tensors: [TensorInfo]
  /// Always: a zip file states them.
  package var needsChecksums: Bool { true }
  /// The members in order; nil contents for the data of a tensor.
  private let members: [(name: String, contents: [UInt8]?)]
  /// For each tensor its member.
  private let memberOfTensor: [Int]
  private let archive: ZipLayout

  private static let prefix = "archive"
  private static let format = "pt"
  private static let metadataName = "\(prefix)/extra/tessera.json"

  /// Lays out tensors.
  ///
  /// - Throws: `TesseraError` where PyTorch has no such type or a name occurs twice.
  package init(
    tensors: [TensorInfo],
    metadata: [String: String]
  ) throws(TesseraError) {
    var state = StateDictPickle()
    var storages: [TensorInfo] = []
    var storageOfName: [String: Int] = [:]
    var storageOfTensor: [Int] = []
    for tensor in tensors {
      func refusal(_ cause: String) -> TesseraError {
        TesseraError.mismatch(cause + " (\(Self.format))", place: tensor.name)
      }
      let storage = tensor.aliasOf.flatMap { storageOfName[$0] } ?? storages.count
      if storage == storages.count { storages.append(tensor) }
      guard storageOfName.updateValue(storage, forKey: tensor.name) == nil else {
        throw refusal("two tensors of this name")
      }
      guard tensor.byteCount != nil, state.add(tensor, storage: storage) else {
        throw refusal("PyTorch has no type for \(tensor.elementType.rawValue) \(tensor.shape)")
      }
      storageOfTensor.append(storage)
    }
    let head: [(String, [UInt8]?)] = [
      ("data.pkl", state.finished), (".format_version", Array("1".utf8)),
      (".storage_alignment", Array("\(ZipLayout.alignment)".utf8)),
      ("byteorder", Array("little".utf8)),
    ]
    let data = storages.indices.map { ("data/\($0)", [UInt8]?.none) }
    let tail: [(String, [UInt8]?)] = [
      ("version", Array("3\n".utf8)), ("extra/tessera.json", Self.text(metadata)),
    ]
    members = (head + data + tail).map { (name: "\(Self.prefix)/\($0.0)", contents: $0.1) }
    let sizes = members.enumerated().map { index, member in
      member.contents?.count ?? storages[index - head.count].byteCount ?? 0
    }
    let all = zip(members, sizes).map { (name: $0.0.name, size: $0.1) }
    guard let layout = ZipLayout(all, comment: 0) else {
      throw TesseraError.mismatch("too large, or a name too long", place: Self.format)
    }
    self.tensors = tensors
    archive = layout
    memberOfTensor = storageOfTensor.map { $0 + head.count }
  }

  private static func text(_ metadata: [String: String]) -> [UInt8] {
    var kept = metadata
    kept["format"] = nil
    return Array(JSONText.object(kept).utf8)
  }

  /// Reserves the file.
  package func begin(_ file: inout AtomicFile) throws -> [CheckpointEntry] {
    try file.reserve(byteCount: archive.fileSize)
    return zip(tensors, memberOfTensor).map { tensor, member in
      CheckpointEntry(tensor: tensor, bytes: archive.contents(of: member))
    }
  }

  /// Writes the members that are no tensors, and the archive's own headers.
  package func finish(_ file: inout AtomicFile, with ending: CheckpointEnding) throws {
    var sums = [UInt32](repeating: 0, count: members.count)
    for (index, tensor) in tensors.enumerated() where tensor.aliasOf == nil {
      sums[memberOfTensor[index]] = ending.checksums[index]
    }
    for (index, member) in members.enumerated() {
      guard var contents = member.contents else { continue }
      if member.name == Self.metadataName { contents = Self.text(ending.metadata) }
      precondition(contents.count == archive.contents(of: index).count, "members keep their sizes")
      try file.write(contents, at: archive.contents(of: index).lowerBound)
      sums[index] = Checksum.crc32(contents)
    }
    try archive.writeHeaders(to: file, checksums: sums, comment: [])
  }
}
