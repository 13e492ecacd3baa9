import TesseraCore

/// A zip file as `torch.save` and `torch.jit.save` write it: a pickle and a member a storage.
struct TorchArchive: TorchStorages {
  let archive: ZipArchive
  /// The folder in which everything lies, with its slash.
  let prefix: String
  /// What was saved.
  let tree: PickleTree
  /// The tensors that a script's code names, where it has any.
  let constants: PickleTree?
  /// Whether it holds a script: code that runs its classes, which nothing here looks at.
  let isScript: Bool
  let isBigEndian: Bool

  static let pickleName = "data.pkl"
  /// The member in which a conversion keeps strings about the file.
  static let stringsName = "extra/tessera.json"
  private static let longestStrings = 64 << 20

  /// The name of the pickle in an archive of torch's, or nil where the archive is another.
  static func pickleMember(of archive: ZipArchive) -> ZipArchive.Member? {
    let named = archive.members.filter { member in
      member.name == pickleName || member.name.hasSuffix("/" + pickleName)
    }
    // A script may keep packages with pickles of their own deeper in the folder.
    return named.min {
      ($0.name.utf8.count, $0.headerOffset) < ($1.name.utf8.count, $1.headerOffset)
    }
  }

  init(region: FileRegion) throws {
    try self.init(archive: ZipArchive(region: region))
  }

  init(archive: ZipArchive) throws {
    guard let pickle = TorchArchive.pickleMember(of: archive) else {
      let cause = "a zip file without data.pkl: no torch checkpoint"
      throw TesseraError.malformed(cause, file: archive.region.name)
    }
    self.archive = archive
    prefix = String(pickle.name.dropLast(TorchArchive.pickleName.count))
    tree = try archive.pickle(pickle)
    isScript = archive.members.contains { [prefix] in $0.name.hasPrefix(prefix + "code/") }
    constants = try archive[prefix + "constants.pkl"].map { member in
      try archive.pickle(member)
    }
    let order = try archive[prefix + "byteorder"].map { try archive.bytes(of: $0, limit: 16) }
    isBigEndian = order.map { $0.starts(with: Array("big".utf8)) } ?? false
  }

  /// The strings that a conversion wrote beside the tensors; none where it was another program's file.
  func strings() throws -> [String: String] {
    guard let member = archive[prefix + TorchArchive.stringsName] else { return [:] }
    let text = try archive.bytes(of: member, limit: TorchArchive.longestStrings)
    return JSONScanner.strings(in: text)
  }

  /// The files that users of `torch.jit.save` put beside the tensors.
  var extraFiles: [String] {
    let folder = prefix + "extra/"
    return archive.members.map(\.name).filter {
      $0.hasPrefix(folder) && $0 != prefix + TorchArchive.stringsName
    }
  }

  func storage(_ identification: TorchStorageIdentification) throws -> TorchStorage {
    try storage(identification, in: "data/")
  }

  /// The storages of `constants.pkl`, which lie in a folder of their own.
  var constantStorages: any TorchStorages { Constants(archive: self) }

  private struct Constants: TorchStorages {
    let archive: TorchArchive

    func storage(_ identification: TorchStorageIdentification) throws -> TorchStorage {
      try archive.storage(identification, in: "constants/")
    }
  }

  private func storage(
    _ identification: TorchStorageIdentification,
    in folder: String
  ) throws -> TorchStorage {
    let name = prefix + folder + identification.key
    guard let member = archive[name] else {
      throw TesseraError.malformed("is not in the archive", file: archive.region.name, place: name)
    }
    guard let bytes = identification.byteCount, bytes <= member.size else {
      let cause = "has \(member.size) bytes, and \(identification.count) elements are claimed"
      throw TesseraError.malformed(cause, file: archive.region.name, place: name)
    }
    return TorchStorage(
      identity: name,
      type: identification.type,
      byteCount: member.size,
      place: try archive.place(of: member),
      isBigEndian: isBigEndian
    )
  }
}

extension ZipArchive {
  /// What a deflated pickle may unpack to however small it is: each of its bytes costs more than bytes
  /// that are copied.
  private static let usualPickle = 16 << 20

  /// The pickle in a member.
  fileprivate func pickle(_ member: Member) throws -> PickleTree {
    guard member.size <= Self.usualPickle || member.size / 100 <= member.compressedSize else {
      let cause = "a pickle of \(member.size) bytes, stored in \(member.compressedSize): a zip bomb"
      throw TesseraError.malformed(cause, file: region.name, place: member.name)
    }
    return try PickleInterpreter.tree(of: try contents(of: member))
  }

  /// Where a member's bytes are.
  func place(of member: Member) throws -> StorageBytes {
    guard member.method != 0 else { return .region(try storedBytes(of: member)) }
    return .packed { try contents(of: member) }
  }
}
