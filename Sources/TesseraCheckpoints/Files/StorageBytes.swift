import Synchronization
import TesseraCore

/// Where the bytes of a storage are.
enum StorageBytes: Sendable {
  /// In the file.
  case region(FileRegion)
  /// Here: only short ones.
  case memory([UInt8])
  /// In the file, but packed: unpacking puts them into a file without a name.
  case packed(@Sendable () throws -> FileRegion)
}

/// The bytes of storages, unpacked where they must be; the last few stay open.
final class UnpackedStorages: Sendable {
  private let recent = Mutex<[(identity: String, region: FileRegion)]>([])

  /// The most unpacked storages that are kept: each is an open file without a name.
  private static let kept = 8

  /// The bytes of a storage; `identity` tells it from all others.
  func region(of bytes: StorageBytes, identity: String) throws -> FileRegion {
    let unpack: () throws -> FileRegion
    switch bytes {
    case .region(let region): return region
    case .memory(let bytes): unpack = { FileRegion(bytes: bytes, name: identity) }
    case .packed(let closure): unpack = closure
    }
    return try recent.withLock { recent in
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
