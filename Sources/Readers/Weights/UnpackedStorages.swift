import Synchronization

/// The bytes of storages, unpacked where they must be; the last few stay open.
final class UnpackedStorages: Sendable {
  private let archive: ZipArchive?
  private let recent = Mutex<[(identity: String, region: FileRegion)]>([])

  /// The most unpacked storages that are kept: each is an open file without a name.
  private static let kept = 8

  init(archive: ZipArchive?) { self.archive = archive }

  /// The bytes of a storage.
  func region(of storage: TorchStorage) throws -> FileRegion {
    switch storage.place {
    case .region(let region): region
    case .memory(let bytes): try unpacked(storage) { try FileRegion(bytes: bytes, name: $0) }
    case .latin1(let text): try unpacked(storage) { _ in try text.unpacked() }
    case .packed(let member): try contents(of: member)
    }
  }

  /// The contents of a member of the archive.
  func contents(of member: ZipArchive.Member) throws -> FileRegion {
    guard let archive else { preconditionFailure("a packed storage has an archive") }
    return try region(of: member.name) { try archive.contents(of: member) }
  }

  private func unpacked(
    _ storage: TorchStorage,
    _ unpack: (String) throws -> FileRegion
  ) throws -> FileRegion {
    try region(of: storage.identity) { try unpack(storage.identity) }
  }

  private func region(
    of identity: String,
    _ unpack: () throws -> FileRegion
  ) throws -> FileRegion {
    try recent.withLock { recent in
      if let index = recent.firstIndex(where: { $0.identity == identity }) {
        let entry = recent.remove(at: index)
        recent.append(entry)
        return entry.region
      }
      let region = try unpack()
      recent.append((identity, region))
      if recent.count > UnpackedStorages.kept { recent.removeFirst() }
      return region
    }
  }
}
