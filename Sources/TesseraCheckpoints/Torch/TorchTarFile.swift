import TesseraCore

/// A file of torch 0.1: a tar archive of `storages`, `tensors` and `pickle`.
///
/// torch itself no longer reads them without running what is in them (CVE-2025-32434).
struct TorchTarFile: TorchStorages {
  /// What was saved; its persistent objects are numbers of tensors.
  let tree: PickleTree

  private let name: String
  private var storages: [String: TorchStorage] = [:]
  private var tensors: [String: TorchTensor] = [:]

  /// Opens a file, or returns nil where it is no tar archive.
  init?(region: FileRegion) throws {
    guard let members = try TarMembers(archive: region)?.members else { return nil }
    func contents(_ name: String) throws -> FileRegion {
      guard let member = members.first(where: { $0.name == name && $0.isRegular }) else {
        let cause = "a tar archive without '\(name)': no torch checkpoint"
        throw TesseraError.malformed(cause, file: region.name)
      }
      let range = member.offset..<member.offset + member.size
      return region.part(range, name: "\(region.name): \(name)")
    }
    name = region.name
    tree = try PickleInterpreter.tree(of: try contents("pickle"))
    try readStorages(try contents("storages"))
    try readTensors(try contents("tensors"))
  }

  private func refusal(_ place: String, _ cause: String) -> TesseraError {
    TesseraError.malformed(cause, file: name, place: place)
  }

  /// A count, then for each storage a pickle of key, place and type, its length and its bytes; then
  /// the views, which are parts of other storages.
  private mutating func readStorages(_ region: FileRegion) throws {
    var position = 0
    let count = try PickleInterpreter.count(in: region, at: &position)
    for _ in 0..<count {
      guard let entry = try entry(of: region, at: &position),
        let type = entry.tree.global(entry.parts[2])
      else { throw refusal("storages", "an entry without key and type") }
      let elementType = TorchElementType(named: type.name)
      var input = ByteInput(region: region, from: position, what: "storages")
      let elements = try input.number(width: 8)
      guard let bytes = elementType.byteCount(elements: elements) else {
        throw refusal("storages", "\(elements) elements overflow")
      }
      let range = try input.skip(bytes)
      position = range.upperBound
      storages[entry.key] = TorchStorage(
        identity: entry.key,
        type: elementType,
        byteCount: bytes,
        place: .region(region.part(range, name: region.name)),
        isBigEndian: false
      )
    }
    let views = try PickleInterpreter.tree(of: region, at: position)
    for view in views.elements(views.root) ?? [] { try addView(view, in: views) }
  }

  private mutating func addView(_ view: PickleNode, in tree: PickleTree) throws {
    guard let parts = tree.elements(view), parts.count == 4, let target = key(parts[0], tree),
      let root = key(parts[1], tree).flatMap({ storages[$0] }), let offset = tree.integer(parts[2]),
      let count = tree.integer(parts[3]), offset >= 0, count >= 0,
      let start = root.type.byteCount(elements: offset),
      let bytes = root.type.byteCount(elements: count), start <= root.byteCount,
      bytes <= root.byteCount - start, case .region(let region) = root.place
    else { throw refusal("storages", "a view that leaves its storage") }
    storages[target] = TorchStorage(
      identity: root.identity,
      start: root.start + start,
      type: root.type,
      byteCount: bytes,
      place: .region(region.part(start..<start + bytes, name: region.name)),
      isBigEndian: false
    )
  }

  /// A count, then for each tensor a pickle of key, storage and type, and its numbers.
  private mutating func readTensors(_ region: FileRegion) throws {
    var position = 0
    let count = try PickleInterpreter.count(in: region, at: &position)
    for _ in 0..<count {
      guard let entry = try entry(of: region, at: &position),
        let storage = key(entry.parts[1], entry.tree).flatMap({ storages[$0] })
      else { throw refusal("tensors", "an entry without key and storage") }
      var input = ByteInput(region: region, from: position, what: "tensors")
      let rank = try input.number(width: 4)
      guard rank <= 64 else { throw refusal("tensors", "\(rank) axes") }
      // The number of axes once took 8 bytes.
      _ = try input.skip(4)
      let size = try (0..<rank).map { _ in try input.number(width: 8) }
      let strides = try (0..<rank).map { _ in try input.number(width: 8) }
      let offset = try input.number(width: 8)
      position = input.position
      guard let elementType = storage.type.elementType,
        let stored = StoredTensor(
          elementType: elementType,
          shape: Shape(size),
          strides: strides,
          offset: offset,
          storageBytes: storage.byteCount
        )
      else { throw refusal("tensors", "\(size) with strides \(strides) leaves its storage") }
      tensors[entry.key] = TorchTensor(storage: storage, stored: stored)
    }
  }

  /// The pickle of three parts that an entry starts with, the first its key; nil where it is another.
  private func entry(
    of region: FileRegion,
    at position: inout Int
  ) throws -> (key: String, parts: [PickleNode], tree: PickleTree)? {
    let tree = try PickleInterpreter.tree(of: region, at: position)
    position += tree.byteCount
    guard let parts = tree.elements(tree.root), parts.count == 3, let key = key(parts[0], tree)
    else { return nil }
    return (key, parts, tree)
  }

  private func key(_ node: PickleNode, _ tree: PickleTree) -> String? {
    tree.text(node) ?? tree.integer(node).map(String.init)
  }

  func storage(_ identification: TorchStorageIdentification) throws -> TorchStorage {
    guard let storage = storages[identification.key] else {
      throw refusal("storage '\(identification.key)'", "is not in the file")
    }
    return storage
  }

  func tensor(_ identification: PickleNode, in tree: PickleTree) throws -> TorchTensor? {
    var node = identification
    // Classes come as a tuple with the class first.
    if case .tuple(let parts) = tree[node], let first = parts.first { node = first }
    guard let key = key(node, tree), key != "storage" else { return nil }
    guard let tensor = tensors[key] else { throw refusal("tensor '\(key)'", "is not in the file") }
    return tensor
  }
}

extension PickleInterpreter {
  /// The count that a pickle of its own states; moves behind it.
  static func count(in region: FileRegion, at position: inout Int) throws -> Int {
    let tree = try tree(of: region, at: position)
    position += tree.byteCount
    guard let count = tree.integer(tree.root), (0...region.length).contains(count) else {
      throw TesseraError.malformed("is no count", file: region.name, place: "pickle")
    }
    return count
  }
}
