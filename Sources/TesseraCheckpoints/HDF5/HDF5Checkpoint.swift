package import TesseraCore

/// An HDF5 file of named tensors: plain, Keras 2 (`.h5`), Keras 3 (`.weights.h5`), the weights inside a
/// Keras 3 archive (`.keras`) or folder, or several files under Keras' index (`.weights.json`).
///
/// A tensor's name is its HDF5 path without the leading slash. Memory beside the caller's buffer: the
/// names, and for compressed data 32 MiB or one chunk, whichever is more.
package struct HDF5Checkpoint: TableCheckpoint {
  /// `hdf5`, `keras-h5` (Keras 2 or legacy Keras 3), `keras-weights-h5` or `keras`.
  package let format: String
  /// Every dataset of numbers, in the order of the file's groups.
  ///
  /// Attributes that are text or numbers: the root's by name, others as `group/object@name`. Refused are
  /// links out of the file, external and virtual data, bombs, unknown filters, long double, untyped bytes.
  let table: TensorTable<HDF5Place>

  /// The description of the model's layers, where the file has one: Keras' JSON.
  package let modelConfiguration: String?
  /// The files that hold the datasets: one, or Keras' shards.
  private let parts: [HDF5File]
  /// The attributes of all files by the path of their object; the root's path is empty.
  private let objects: [String: [String: HDF5Attribute]]
  private let unlisted: [String]

  /// Opens a file and finds its tensors without reading them.
  ///
  /// - Parameters:
  ///   - path: An HDF5 file or a `.keras` archive.
  ///   - opaqueType: What untyped elements of the same width are: Keras 2 writes bfloat16 as two
  ///     bytes without a type. Nil refuses them, unless the file states the type.
  /// - Throws: `TesseraError`.
  package init(path: String, opaqueAs opaqueType: ElementType? = nil) throws {
    if path.hasSuffix(KerasShards.suffix) {
      let shards = try KerasShards(path: path)
      try self.init(parts: shards.files, files: shards.paths, opaqueAs: opaqueType)
      try shards.check(tensors)
      return
    }
    let region = try FileRegion(path: path)
    try self.init(region: region, files: [path], opaqueAs: opaqueType)
  }

  /// Opens a file that is already in memory; it is copied.
  ///
  /// - Parameters:
  ///   - bytes: The whole file.
  ///   - name: How errors call it.
  ///   - opaqueType: What untyped elements of the same width are.
  /// - Throws: `TesseraError`.
  package init(
    bytes: [UInt8],
    name: String = "embedded.h5",
    opaqueAs opaqueType: ElementType? = nil
  ) throws {
    try self.init(region: FileRegion(bytes: bytes, name: name), files: [], opaqueAs: opaqueType)
  }

  private init(region: FileRegion, files: [String], opaqueAs opaqueType: ElementType?) throws {
    let archive = try KerasArchive(region: region) ?? KerasArchive(besides: region)
    let file = try HDF5File(region: archive?.weights ?? region)
    try self.init(parts: [file], files: files, archive: archive, opaqueAs: opaqueType)
  }

  private init(
    parts: [HDF5File],
    files: [String],
    archive: KerasArchive? = nil,
    opaqueAs opaqueType: ElementType?
  ) throws {
    self.parts = parts
    var objects: [String: [String: HDF5Attribute]] = [:]
    for part in parts {
      for (path, values) in part.catalog.attributes {
        objects[path, default: [:]].merge(values) { first, _ in first }
      }
    }
    self.objects = objects
    let configuration = archive?.configuration ?? objects[""]?["model_config"]?.text
    let all = parts.flatMap { part in part.catalog.datasets.map { (file: part, dataset: $0) } }
    format = HDF5Checkpoint.format(objects, all.map(\.dataset), isArchive: archive != nil)
    modelConfiguration = configuration
    var opaque = OpaqueTypes(
      attributes: objects,
      configuration: configuration,
      fallback: opaqueType
    )
    var found = TensorTable<HDF5Place>(files: files)
    for (file, dataset) in all {
      guard let elementType = opaque.elementType(of: dataset) else { continue }
      guard found.place(of: dataset.path) == nil else {
        throw TesseraError.malformed("is in two of the files", file: files[0], place: dataset.path)
      }
      found.add(
        TensorInfo(
          name: dataset.path,
          elementType: elementType,
          shape: dataset.shape,
          aliasOf: dataset.aliasOf
        ),
        at: HDF5Place(
          file: file,
          dataset: dataset,
          elementType: elementType,
          checkpoint: parts[0].region.name
        )
      )
    }
    found.refusals =
      parts.flatMap(\.catalog.refusals) + opaque.refusals
      + (archive == nil ? KerasShards.refusals(ofPart: files) : [])
    let (texts, attributeNotes) = HDF5Checkpoint.texts(of: objects)
    found.attributes = texts.merging(archive?.attributes ?? [:]) { _, archived in archived }
    let unshown = parts.flatMap { part in part.catalog.unshown.namesWithPaths }
    unlisted = unshown + (archive.map { $0.names } ?? [])
    let more =
      unshown.isEmpty
      ? [] : ["attributes of other types are not shown: \(unshown.joined(separator: ", "))"]
    found.remarks = parts.flatMap(\.catalog.skipped) + opaque.skipped + attributeNotes + more
    table = found
  }

  /// The layout that the file's groups and attributes show.
  private static func format(
    _ attributes: [String: [String: HDF5Attribute]],
    _ datasets: [HDF5Dataset],
    isArchive: Bool
  ) -> String {
    if isArchive { return "keras" }
    let hasLayerNames = ["", "model_weights"].contains { group in
      attributes.names("layer_names", of: group) != nil
    }
    if hasLayerNames { return "keras-h5" }
    let hasVariables = datasets.contains { dataset in
      let parts = dataset.path.split(separator: "/").suffix(2)
      return parts.first == "vars" && Int(parts.last ?? "") != nil
    }
    return hasVariables ? "keras-weights-h5" : "hdf5"
  }

  /// The most text that attributes may show, in bytes.
  private static let attributeTextLimit = 16 << 20

  private static func texts(
    of attributes: [String: [String: HDF5Attribute]]
  ) -> (texts: [String: String], notes: [String]) {
    var texts: [String: String] = [:]
    var size = 0
    var omitted = 0
    for (path, values) in attributes.sorted(by: { $0.key < $1.key }) {
      for (name, value) in values.sorted(by: { $0.key < $1.key }) {
        let text = value.description
        guard size + text.utf8.count <= attributeTextLimit else {
          omitted += 1
          continue
        }
        size += text.utf8.count
        texts[path.isEmpty ? name : "\(path)@\(name)"] = text
      }
    }
    return (texts, omitted == 0 ? [] : ["\(omitted) attributes are too long to show"])
  }

  /// The attributes of a group or dataset; the root's path is empty.
  package func attributes(of path: String) -> [String: HDF5Attribute] {
    objects[path] ?? [:]
  }

  /// What Keras 3 calls the layers, optimizers and models that hold variables, by the path of their
  /// group, which ends in `vars`.
  package var variableHolders: [String: String] {
    objects.reduce(into: [:]) { names, entry in
      guard entry.key == "vars" || entry.key.hasSuffix("/vars") else { return }
      if case .string(let name)? = entry.value["name"] { names[entry.key] = name }
    }
  }

  /// A list of names that may be split over several attributes.
  package func names(_ attribute: String, of path: String) -> [String]? {
    objects.names(attribute, of: path)
  }

  /// How errors call the file.
  package var fileName: String { parts[0].region.name }

  /// What the file says beside its data, which only HDF5 has a place for.
  package var metadata: CheckpointMetadata {
    CheckpointMetadata(
      strings: attributes.filter { $0.key.hasPrefix("tessera.") },
      others: attributes.keys.filter { !$0.hasPrefix("tessera.") }.sorted() + unlisted
    )
  }
}

/// A dataset in its file.
struct HDF5Place: TensorPlace {
  fileprivate let file: HDF5File
  fileprivate let dataset: HDF5Dataset
  fileprivate let elementType: ElementType
  /// How errors call the checkpoint.
  fileprivate let checkpoint: String

  func read(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
    try unsafe file.read(elements, of: dataset, as: elementType, into: buffer)
    if elementType == .bool {
      try unsafe TesseraError.check(truthValues: buffer, of: dataset.path, in: checkpoint)
    }
  }
}

extension [String: [String: HDF5Attribute]] {
  /// A list of names, whole or in pieces.
  ///
  /// Keras splits what exceeds an object header of 64 KiB into `layer_names0`, `layer_names1`, ….
  func names(_ attribute: String, of path: String) -> [String]? {
    guard let values = self[path] else { return nil }
    if let whole = values[attribute] { return whole.names }
    var names: [String] = []
    var piece = 0
    while let part = values["\(attribute)\(piece)"] {
      guard let more = part.names else { return nil }
      names += more
      piece += 1
    }
    return piece == 0 ? nil : names
  }
}

extension HDF5Checkpoint: FileRunProviding {
  /// Where a tensor lies: contiguous data are stored as they are read.
  package func fileRun(of tensor: TensorInfo) -> FileRun? {
    guard let place = table.place(of: tensor.name), case .run(let offset) = place.dataset.storage
    else {
      return nil
    }
    let region = place.file.region
    let count = tensor.shape.elementCount.flatMap { tensor.elementType.byteCount(elements: $0) }
    return FileRun(
      descriptor: region.descriptor,
      offset: region.start + offset,
      count: count ?? 0
    )
  }
}

extension HDF5Checkpoint: AttributeCopying {
  /// Every group, and the attributes of every object that travel.
  package var attributeCopy: HDF5AttributeCopy? {
    var objects: [HDF5AttributeCopy.Object] = []
    var omitted = unlisted.filter { !$0.contains("@") }
    for part in parts {
      let catalog = part.catalog
      let paths = Set(catalog.attributes.keys).union(catalog.unshown.keys).union(catalog.fixed.keys)
      for path in paths.sorted() {
        var left = Set(catalog.fixed[path] ?? [])
        omitted += left.sorted().map { path.isEmpty ? $0 : "\(path)@\($0)" }
        // The writer states the type that it stores, which may be another.
        if case .opaque? = table.place(of: path)?.dataset.elements { left.insert("dtype") }
        objects.append(
          HDF5AttributeCopy.Object(file: part, source: path, target: path, omitted: left)
        )
      }
    }
    let groups = Set(parts.flatMap(\.catalog.groupPaths))
    return HDF5AttributeCopy(groups: groups.sorted(), objects: objects, omitted: omitted)
  }
}

extension [String: [String]] {
  /// Names of attributes with the paths of their objects: `dense/kernel@scale`.
  fileprivate var namesWithPaths: [String] {
    flatMap { path, names in names.map { path.isEmpty ? $0 : "\(path)@\($0)" } }.sorted()
  }
}
