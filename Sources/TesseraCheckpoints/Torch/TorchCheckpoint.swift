import TesseraCore

/// A checkpoint of PyTorch: the zip format, TorchScript archives, the formats before them, and plain
/// pickles of modules, dictionaries and arrays.
///
/// The pickle inside is read as data: nothing is imported or called. A tensor's name is the path to
/// it, with dots: `state_dict.encoder.conv_in.weight`. Memory beside the caller's buffer: the pickle's
/// values, and 32 MiB where a tensor's elements must be gathered.
package struct TorchCheckpoint: TableCheckpoint {
  /// `torch-zip`, `torchscript`, `torch-legacy`, `torch-tar` or `pickle`.
  package let format: String
  /// Every tensor in the order of the saved value; numbers, truth values and short texts by their path.
  let table: TensorTable<StorageView>
  /// The strings that a conversion wrote beside the tensors, and the names of the values that are none.
  package let metadata: CheckpointMetadata
  /// What was saved, as data.
  package let tree: PickleTree

  /// Opens a file of any of these formats.
  ///
  /// - Parameter path: The file.
  /// - Throws: `TesseraError`.
  package init(path: String) throws {
    try self.init(region: FileRegion(path: path))
  }

  init(region: FileRegion) throws {
    if let words = try FailedDownload.words(for: region) {
      throw TesseraError.malformed(words, file: region.name)
    }
    if try ZipArchive.isArchive(region) {
      try self.init(archive: TorchArchive(region: region))
    } else if try TorchLegacyFile.isLegacy(region) {
      let file = try TorchLegacyFile(region: region)
      let walk = try TorchWalk(file.tree, storages: file)
      let trailing = file.trailingBytes
      let notes = trailing > 0 ? ["\(trailing) bytes after the last storage belong to none"] : []
      self.init(format: "torch-legacy", file.tree, [walk], notes: notes)
    } else if let file = try TorchTarFile(region: region) {
      let walk = try TorchWalk(file.tree, storages: file)
      self.init(format: "torch-tar", file.tree, [walk], file: region.name, notes: [])
    } else {
      let tree = try PickleInterpreter.tree(of: region)
      let walk = try TorchWalk(tree, storages: NoStorages(file: region.name))
      let trailing = region.length - tree.byteCount
      let notes = trailing > 0 ? ["\(trailing) bytes after the pickle's end are not read"] : []
      self.init(format: "pickle", tree, [walk], notes: notes)
    }
  }

  init(archive: TorchArchive) throws {
    var walks = [try TorchWalk(archive.tree, storages: archive)]
    if let constants = archive.constants {
      walks.append(
        try TorchWalk(constants, storages: archive.constantStorages, under: ["CONSTANTS"])
      )
    }
    var notes: [String] = []
    if archive.isScript { notes.append("a TorchScript archive: its code is not read") }
    if archive.isBigEndian { notes.append("saved by a big-endian machine") }
    self.init(
      format: archive.isScript ? "torchscript" : "torch-zip",
      archive.tree,
      walks,
      file: archive.archive.region.name,
      strings: try archive.strings(),
      notes: notes + archive.extraFiles.map { "'\($0)' is a file beside the tensors: not read" }
    )
  }

  init(
    format: String,
    _ tree: PickleTree,
    _ walks: [TorchWalk],
    file: String? = nil,
    strings: [String: String] = [:],
    notes: [String]
  ) {
    (self.format, self.tree) = (format, tree)
    let file = file ?? tree.region.name
    var listing = TorchListing(file: file)
    for walk in walks {
      for (name, tensor) in walk.tensors { listing.add(tensor, named: name) }
    }
    var found = listing.table.found
    let values = walks.reduce(into: [:]) { all, walk in
      all.merge(walk.attributes) { first, _ in first }
    }
    found.attributes = values.merging(strings) { value, _ in value }
    metadata = CheckpointMetadata(strings: strings, others: values.keys.sorted())
    found.refusals =
      PartialModel.refusals(tensors: found.tensors.map(\.name), attributes: found.attributes)
      + walks.flatMap(\.refusals)
    found.remarks =
      notes + TorchGlobals.notes(about: tree.globals) + walks.flatMap(\.notes) + listing.notes
    table = found
  }
}

/// A file that has no storages outside its pickle.
private struct NoStorages: TorchStorages {
  let file: String

  func storage(_ identification: TorchStorageIdentification) throws -> TorchStorage {
    let cause = "a storage that is not in the file: only the pickle of a checkpoint is left"
    throw TesseraError.malformed(cause, file: file, place: "storage '\(identification.key)'")
  }
}

/// Tensors in their order, with those that hold the same data named.
struct TorchListing {
  private(set) var table: StoredTensorTable
  private var firstOfData: [TorchTensor.DataKey: String] = [:]
  private var firstOfStorage: [String: String] = [:]
  private var views: [String: [String]] = [:]

  init(file: String) { table = StoredTensorTable(file: file) }

  mutating func add(_ tensor: TorchTensor, named name: String) {
    let stored = tensor.stored
    var alias: String?
    // Tensors without elements have no data to share.
    if stored.shape.elementCount ?? 0 > 0, tensor.isShared {
      alias = firstOfData[tensor.dataKey]
      if alias == nil {
        firstOfData[tensor.dataKey] = name
        if let first = firstOfStorage[tensor.storage.identity] {
          views[first, default: []].append(name)
        } else {
          firstOfStorage[tensor.storage.identity] = name
        }
      }
    }
    let storage = tensor.storage
    // Two storages may be different parts of the same bytes.
    let identity = "\(storage.identity) \(storage.start)"
    table.add(stored, named: name, in: storage.place, identity: identity, aliasOf: alias)
  }

  /// A sentence for each storage that several different views look into.
  var notes: [String] {
    let shared = views.sorted { $0.key < $1.key }
    var notes = shared.prefix(20).map { first, others in
      let shown = others.prefix(4).map { "'\($0)'" }.joined(separator: ", ")
      let more = others.count > 4 ? " and \(others.count - 4) more" : ""
      return "'\(first)' shares its storage with other views: \(shown)\(more)"
    }
    if shared.count > 20 { notes.append("\(shared.count - 20) more storages are shared by views") }
    return notes
  }
}
