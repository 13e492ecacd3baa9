import TesseraCore

/// A file as torch wrote it before its zip format: five pickles, then the storages one by one.
struct TorchLegacyFile: TorchStorages {
  /// What was saved.
  let tree: PickleTree
  /// How many bytes follow the last storage.
  let trailingBytes: Int

  private let region: FileRegion
  private var storages: [String: (type: TorchElementType, bytes: Range<Int>)] = [:]

  /// 0x1950a86a20f9469cfc6c, little-endian, as the first pickle holds it.
  private static let magic: [UInt8] = [
    0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19,
  ]
  /// The bytes before the magic number: PROTO 2, LONG1 of ten bytes.
  private static let prefix: [UInt8] = [0x80, 0x02, 0x8A, 0x0A]

  /// Whether a file starts with the magic number.
  static func isLegacy(_ region: FileRegion) throws(TesseraError) -> Bool {
    let start = prefix + magic
    guard region.length > start.count else { return false }
    return try region.bytes(0..<start.count) == start
  }

  init(region: FileRegion) throws {
    self.region = region
    var position = 0
    func next() throws -> PickleTree {
      let tree = try PickleInterpreter.tree(of: region, at: position)
      position += tree.byteCount
      return tree
    }
    func refusal(_ cause: String) -> TesseraError {
      TesseraError.malformed(cause, file: region.name, place: "legacy header")
    }
    let magic = try next()
    guard magic[magic.root] == .wideInteger(TorchLegacyFile.magic) else {
      throw refusal("has no magic number of torch")
    }
    let version = try next()
    guard version.integer(version.root) == 1001 else { throw refusal("protocol is not 1001") }
    // What the machine was like, its byte order too: the bytes are little-endian from all of them.
    _ = try next()
    tree = try next()
    let keys = try next()
    guard let names = keys.elements(keys.root)?.map({ keys.text($0) }) else {
      throw refusal("has no list of storages")
    }
    var types = try TorchLegacyFile.identifications(in: tree)
    for name in names {
      guard let name, let type = types.removeValue(forKey: name) else {
        throw refusal("lists a storage twice, or one that no tensor uses")
      }
      let bytes = try TorchLegacyFile.storage(name, of: type, in: region, at: position)
      storages[name] = (type, bytes)
      position = bytes.upperBound
    }
    if let missing = types.keys.min() { throw refusal("lists no storage '\(missing)'") }
    trailingBytes = region.length - position
  }

  /// The element type of every storage that the pickle names.
  private static func identifications(
    in tree: PickleTree
  ) throws -> [String: TorchElementType] {
    var types: [String: TorchElementType] = [:]
    for index in 0..<tree.cells.count {
      guard case .persistent(let node) = tree.cells[PickleNode(index)] else { continue }
      let identification = try TorchStorageIdentification(node, in: tree)
      if let known = types[identification.key], known != identification.type {
        throw TesseraError.malformed(
          "has two types",
          file: tree.region.name,
          place: "storage '\(identification.key)'"
        )
      }
      types[identification.key] = identification.type
    }
    return types
  }

  /// The bytes of the storage that starts with its element count.
  private static func storage(
    _ name: String,
    of type: TorchElementType,
    in region: FileRegion,
    at start: Int
  ) throws -> Range<Int> {
    let left = region.length - start - 8
    guard left >= 0,
      let count = LittleEndianBytes(bytes: try region.bytes(start..<start + 8))
        .integer(UInt64.self, at: 0),
      let bytes = type.byteCount(elements: count), bytes <= left
    else {
      throw TesseraError.malformed(
        "ends after the file: it is cut short",
        file: region.name,
        place: "storage '\(name)'"
      )
    }
    return start + 8..<start + 8 + bytes
  }

  func storage(_ identification: TorchStorageIdentification) throws -> TorchStorage {
    func refusal(_ cause: String) -> TesseraError {
      let place = "storage '\(identification.key)'"
      return TesseraError.malformed(cause, file: region.name, place: place)
    }
    guard let (type, root) = storages[identification.key] else {
      throw refusal("is not in the file")
    }
    var bytes = root
    if let view = identification.view {
      guard let start = type.byteCount(elements: view.offset),
        let count = type.byteCount(elements: view.count),
        start <= root.count, count <= root.count - start
      else { throw refusal("has a view that leaves it") }
      bytes = root.lowerBound + start..<root.lowerBound + start + count
    } else if let claimed = identification.byteCount, claimed > root.count {
      throw refusal("has \(root.count) bytes, and \(claimed) are claimed")
    }
    return TorchStorage(
      identity: identification.key,
      start: bytes.lowerBound - root.lowerBound,
      type: type,
      byteCount: bytes.count,
      place: .region(region.part(bytes, name: region.name)),
      isBigEndian: false
    )
  }

  /// The storage that this file holds alone: plain pickles keep their tensors so.
  func onlyStorage(named identity: String) throws -> TorchStorage {
    guard case .persistent(let node) = tree[tree.root] else {
      throw TesseraError.malformed(
        "its bytes hold something else than one storage",
        file: region.name,
        place: "_load_from_bytes"
      )
    }
    let storage = try storage(TorchStorageIdentification(node, in: tree))
    return TorchStorage(
      identity: identity,
      type: storage.type,
      byteCount: storage.byteCount,
      place: storage.place,
      isBigEndian: storage.isBigEndian
    )
  }
}
