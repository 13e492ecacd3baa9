import CHDF5
import TesseraCore

/// Where the elements of a dataset lie.
enum HDF5Storage: Sendable, Hashable {
  /// One run of little-endian bytes in the file, from this offset on.
  case run(offset: Int)
  /// Chunks that we decode, of which this many bytes are kept.
  case chunks(HDF5ChunkLayout, cacheBytes: Int)
  /// Anything else, read through the library with a chunk cache of this many bytes.
  case library(cacheBytes: Int)
}

/// A dataset that can be read.
struct HDF5Dataset: Sendable, Hashable {
  let path: String
  let shape: Shape
  let storage: HDF5Storage
  let elements: HDF5Elements
  /// The path under which the same dataset was found first, if this is a second name.
  let aliasOf: String?
}

/// All that a file holds, found in one walk without reading data.
struct HDF5Catalog: Sendable {
  private(set) var datasets: [HDF5Dataset] = []
  /// Attributes by the path of their object; the root's path is empty.
  private(set) var attributes: [String: [String: HDF5Attribute]] = [:]
  /// What has no tensor meaning, a sentence each.
  private(set) var skipped: [String] = []
  /// Numbers that cannot be read safely and exactly.
  private(set) var refusals: [TensorRefusal] = []
  /// The names of attributes that are not shown, and of those that no other file can hold, by the path
  /// of their object.
  private(set) var unshown: [String: [String]] = [:]
  private(set) var fixed: [String: [String]] = [:]

  private let file: hid_t
  private let region: FileRegion
  private var groups: [UInt64: String] = [:]
  /// Soft links wait until all that they may name is known.
  private var softLinks: [(path: String, name: String)] = []
  private var seen: [UInt64: Int] = [:]
  private var objectCount = 0
  /// The bytes of all paths, each as often as it is shown, and of the values of attributes.
  private var nameBytes = 0

  /// The most objects and the deepest nesting that a file may have.
  private static let limits = (objects: 1 << 20, depth: 128, attributes: 1 << 12)

  /// Walks an open file; inside `HDF5.perform`.
  init(of file: hid_t, in region: FileRegion) throws(TesseraError) {
    (self.file, self.region) = (file, region)
    try walk("", depth: 0)
    for link in softLinks { try follow(link.path, link.name) }
  }

  /// The paths of all groups but the root.
  var groupPaths: [String] { groups.values.filter { $0 != "/" }.sorted() }

  /// Counts names and values that are kept: a group's name stands in the paths of all that is in it, and
  /// a text may stand in many lists.
  private mutating func count(nameBytes bytes: Int) throws(TesseraError) {
    nameBytes += bytes
    guard nameBytes <= 1 << 20 + 2 * region.length else {
      let cause =
        "its names, each with the groups above it, and attributes are longer than the file: shorten them"
      throw TesseraError.malformed(cause, file: region.name)
    }
  }

  private func failure(to attempt: String, _ place: String) -> TesseraError {
    .afterFailure(to: attempt, file: region.name, place: place)
  }

  private mutating func walk(_ path: String, depth: Int) throws(TesseraError) {
    guard depth < HDF5Catalog.limits.depth else {
      let cause = "groups nest deeper than \(HDF5Catalog.limits.depth) levels"
      throw TesseraError.malformed(cause, file: region.name, place: path)
    }
    let name = path.isEmpty ? "/" : path
    guard
      let group = unsafe HDF5Handle(H5Gopen2(file, name, hid_t(H5P_DEFAULT)), closedBy: H5Gclose)
    else { throw failure(to: "open the group", name) }
    if depth == 0 { try remember(group.id) }
    try noteAttributes(of: group.id, path)
    let limit = HDF5Catalog.limits.objects - objectCount
    let links = unsafe HDF5Names.collect(limit: limit + 1) { context, visitor in
      unsafe chdf5_visit_links(group.id, context, visitor)
    }
    guard let links else { throw failure(to: "list the group", name) }
    objectCount += links.count
    guard links.count <= limit else {
      let cause = "more than \(HDF5Catalog.limits.objects) objects"
      throw TesseraError.malformed(cause, file: region.name)
    }
    try count(
      nameBytes: links.reduce(0) { $0 + path.utf8.count + 1 + ($1.name?.utf8.count ?? 0) }
    )
    for link in links {
      try follow(link, of: group.id, path: path, depth: depth)
    }
  }

  private mutating func remember(_ root: hid_t) throws(TesseraError) {
    var kind = CHDF5_GROUP
    var address: UInt64 = 0
    guard unsafe chdf5_find_object(root, ".", &kind, &address) else {
      throw failure(to: "look at the root group", "")
    }
    groups[address] = "/"
  }

  private mutating func follow(
    _ link: HDF5Names.Element,
    of group: hid_t,
    path: String,
    depth: Int
  ) throws(TesseraError) {
    guard let name = link.name else {
      refusals.append(TensorRefusal(path.isEmpty ? "/" : path, "holds a name that is not UTF-8"))
      return
    }
    let place = path.isEmpty ? name : "\(path)/\(name)"
    if link.link == CHDF5_SOFT_LINK { return softLinks.append((path, name)) }
    guard link.link == CHDF5_HARD_LINK else {
      let cause = "\(link.link.words) is not followed; store the data themselves"
      refusals.append(TensorRefusal(place, cause, isUnsafe: true))
      return
    }
    var kind = CHDF5_GROUP
    var address: UInt64 = 0
    guard unsafe chdf5_find_object(group, name, &kind, &address) else {
      throw failure(to: "look at the object", place)
    }
    switch kind {
    case CHDF5_GROUP:
      if let first = groups[address] {
        skipped.append("\(place): a second name of the group '\(first)'; see there")
        return
      }
      groups[address] = place
      try walk(place, depth: depth + 1)
    case CHDF5_DATASET: try addDataset(place, address: address)
    case CHDF5_NAMED_TYPE: skipped.append("\(place): a named datatype, no tensor")
    default: refusals.append(TensorRefusal(place, "an object of unknown kind"))
    }
  }

  /// A soft link is a second name of what it leads to, inside of the file.
  private mutating func follow(_ path: String, _ name: String) throws(TesseraError) {
    let place = path.isEmpty ? name : "\(path)/\(name)"
    let parent = path.isEmpty ? "/" : path
    guard
      let group = unsafe HDF5Handle(H5Gopen2(file, parent, hid_t(H5P_DEFAULT)), closedBy: H5Gclose)
    else { throw failure(to: "open the group", parent) }
    var kind = CHDF5_GROUP
    var address: UInt64 = 0
    guard unsafe chdf5_find_object(group.id, name, &kind, &address) else {
      let cause = "a soft link to nothing in this file; store the data themselves"
      refusals.append(TensorRefusal(place, cause, isUnsafe: true))
      return
    }
    if kind == CHDF5_DATASET, seen[address] != nil {
      try addDataset(place, address: address)
    } else if kind == CHDF5_GROUP, let first = groups[address] {
      skipped.append("\(place): a second name of the group '\(first)'; see there")
    } else if kind == CHDF5_NAMED_TYPE {
      skipped.append("\(place): a named datatype, no tensor")
    } else {
      // What it leads to was passed over, and is named, under its own name.
      skipped.append("\(place): a second name of what is not read")
    }
  }

  private mutating func noteAttributes(of object: hid_t, _ path: String) throws(TesseraError) {
    guard let found = HDF5Attribute.all(of: object, limit: HDF5Catalog.limits.attributes) else {
      skipped.append("\(path.isEmpty ? "/" : path): its attributes cannot be read")
      return
    }
    let count = found.values.count + found.unshown.count + found.fixed.count
    let shown = found.values.values.reduce(0) { $0 + $1.byteCount }
    try self.count(nameBytes: count * path.utf8.count + shown)
    if !found.values.isEmpty { attributes[path] = found.values }
    if !found.unshown.isEmpty { unshown[path] = found.unshown }
    if !found.fixed.isEmpty { fixed[path] = found.fixed }
  }

  private mutating func addDataset(_ path: String, address: UInt64) throws(TesseraError) {
    if let first = seen[address] {
      let original = datasets[first]
      datasets.append(
        HDF5Dataset(
          path: path,
          shape: original.shape,
          storage: original.storage,
          elements: original.elements,
          aliasOf: original.path
        )
      )
      if let shared = attributes[original.path] {
        let bytes = shared.reduce(0) { $0 + $1.key.utf8.count + $1.value.byteCount }
        try count(nameBytes: bytes + shared.count * path.utf8.count)
        attributes[path] = shared
      }
      return
    }
    guard
      let dataset = unsafe HDF5Handle(H5Dopen2(file, path, hid_t(H5P_DEFAULT)), closedBy: H5Dclose)
    else {
      let failure = failure(to: "open the dataset", path)
      refusals.append(TensorRefusal(path, failure.cause))
      return
    }
    try noteAttributes(of: dataset.id, path)
    switch HDF5Description(of: dataset.id, in: region).verdict {
    case .readable(let shape, let elements, let storage):
      seen[address] = datasets.count
      datasets.append(
        HDF5Dataset(
          path: path,
          shape: shape,
          storage: storage,
          elements: elements,
          aliasOf: nil
        )
      )
    case .skipped(let reason): skipped.append("\(path): \(reason)")
    case .refused(let reason): refusals.append(TensorRefusal(path, reason))
    case .unsafe(let reason): refusals.append(TensorRefusal(path, reason, isUnsafe: true))
    }
  }
}

extension chdf5_link {
  /// The kind of link in words, for messages.
  fileprivate var words: String {
    switch self {
    case CHDF5_EXTERNAL_LINK: "an external link"
    default: "a user-defined link"
    }
  }
}
