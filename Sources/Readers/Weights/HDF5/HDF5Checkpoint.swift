public import Tensors

/// An HDF5 file of named tensors: plain, Keras 2 (`.h5`), Keras 3 (`.weights.h5`), or the weights
/// inside a Keras 3 archive (`.keras`).
///
/// A tensor's name is its HDF5 path without the leading slash. Memory beside the caller's buffer: the
/// names, and for compressed data 32 MiB or one chunk, whichever is more.
public struct HDF5Checkpoint: CheckpointReader {
  /// `hdf5`, `keras-h5` (Keras 2 or legacy Keras 3), `keras-weights-h5` or `keras`.
  public let format: String
  /// Every dataset of numbers, in the order of the file's groups.
  public let tensors: [TensorInfo]
  /// The attributes that are text or numbers: the root's by name, others as `group/object@name`.
  public let attributes: [String: String]
  /// What was skipped, a sentence each; the refusals stand among them.
  public let notes: [String]
  /// Datasets of numbers that cannot be read safely and exactly; a conversion would lose them.
  ///
  /// Links, external and virtual data, bombs, unknown filters, long double, untyped bytes.
  public let refusals: [String]
  /// The file.
  public let files: [String]

  /// The description of the model's layers, where the file has one: Keras' JSON.
  package let modelConfiguration: String?
  private let file: HDF5File
  private let datasets: [String: HDF5Dataset]

  /// Opens a file and finds its tensors without reading them.
  ///
  /// - Parameters:
  ///   - path: An HDF5 file or a `.keras` archive.
  ///   - opaqueType: What untyped elements of the same width are: Keras 2 writes bfloat16 as two
  ///     bytes without a type. Nil refuses them, unless the file states the type.
  /// - Throws: `FileError`, `HDF5Error` or `ArchiveError`.
  public init(path: String, opaqueAs opaqueType: ElementType? = nil) throws {
    let region = try FileRegion(path: path)
    try self.init(region: region, files: [path], opaqueAs: opaqueType)
  }

  /// Opens a file that is already in memory; it is copied.
  ///
  /// - Parameters:
  ///   - bytes: The whole file.
  ///   - name: How errors call it.
  ///   - opaqueType: What untyped elements of the same width are.
  /// - Throws: `FileError`, `HDF5Error` or `ArchiveError`.
  public init(
    bytes: [UInt8],
    name: String = "embedded.h5",
    opaqueAs opaqueType: ElementType? = nil
  ) throws {
    try self.init(region: FileRegion(bytes: bytes, name: name), files: [], opaqueAs: opaqueType)
  }

  private init(region: FileRegion, files: [String], opaqueAs opaqueType: ElementType?) throws {
    let archive = try KerasArchive(region: region)
    let file = try HDF5File(region: archive?.weights ?? region)
    self.init(file: file, files: files, archive: archive, opaqueAs: opaqueType)
  }

  private init(
    file: HDF5File,
    files: [String],
    archive: KerasArchive?,
    opaqueAs opaqueType: ElementType?
  ) {
    self.files = files
    let catalog = file.catalog
    let root = catalog.attributes[""] ?? [:]
    let configuration = archive?.configuration ?? root["model_config"]?.text
    self.file = file
    format = HDF5Checkpoint.format(of: catalog, isArchive: archive != nil)
    modelConfiguration = configuration
    var opaque = OpaqueTypes(
      attributes: catalog.attributes,
      configuration: configuration,
      fallback: opaqueType
    )
    var tensors: [TensorInfo] = []
    var datasets: [String: HDF5Dataset] = [:]
    for dataset in catalog.datasets {
      guard let elementType = opaque.elementType(of: dataset) else { continue }
      tensors.append(
        TensorInfo(
          name: dataset.path,
          elementType: elementType,
          shape: dataset.shape,
          aliasOf: dataset.aliasOf
        )
      )
      datasets[dataset.path] = dataset
    }
    self.tensors = tensors
    self.datasets = datasets
    refusals = catalog.refusals + opaque.refusals
    let (texts, attributeNotes) = HDF5Checkpoint.texts(of: catalog.attributes)
    attributes = texts.merging(archive?.attributes ?? [:]) { _, archived in archived }
    notes = refusals + catalog.skipped + opaque.skipped + attributeNotes
  }

  /// The layout that the file's groups and attributes show.
  private static func format(of catalog: HDF5Catalog, isArchive: Bool) -> String {
    if isArchive { return "keras" }
    let hasLayerNames = ["", "model_weights"].contains { group in
      catalog.attributes.names("layer_names", of: group) != nil
    }
    if hasLayerNames { return "keras-h5" }
    let hasVariables = catalog.datasets.contains { dataset in
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
    file.catalog.attributes[path] ?? [:]
  }

  /// What Keras 3 calls the layers, optimizers and models that hold variables, by the path of their
  /// group, which ends in `vars`.
  package var variableHolders: [String: String] {
    file.catalog.attributes.reduce(into: [:]) { names, entry in
      guard entry.key == "vars" || entry.key.hasSuffix("/vars") else { return }
      if case .string(let name)? = entry.value["name"] { names[entry.key] = name }
    }
  }

  /// A list of names that may be split over several attributes.
  package func names(_ attribute: String, of path: String) -> [String]? {
    file.catalog.attributes.names(attribute, of: path)
  }

  /// How errors call the file.
  package var fileName: String { file.region.name }

  /// Reads a range of elements; see `CheckpointReader`.
  public func read(
    _ elements: Range<Int>,
    of tensor: TensorInfo,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    guard let dataset = datasets[tensor.name] else {
      throw HDF5Error(file: fileName, place: tensor.name, cause: "no tensor of this name")
    }
    let count = dataset.shape.elementCount ?? 0
    precondition(
      elements.lowerBound >= 0 && elements.upperBound <= count,
      "a range lies inside the tensor"
    )
    let bytes = tensor.elementType.byteCount(elements: elements.count)
    precondition(bytes == buffer.count, "a buffer has the size of its range")
    try unsafe file.read(elements, of: dataset, as: tensor.elementType, into: buffer)
    if tensor.elementType == .bool, unsafe buffer.contains(where: { $0 > 1 }) {
      let cause = "a truth value that is neither 0 nor 1"
      throw HDF5Error(file: fileName, place: tensor.name, cause: cause)
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
    guard let dataset = datasets[tensor.name], case .run(let offset) = dataset.storage else {
      return nil
    }
    let count = tensor.shape.elementCount.flatMap { tensor.elementType.byteCount(elements: $0) }
    return FileRun(
      descriptor: file.region.descriptor,
      offset: file.region.start + offset,
      count: count ?? 0
    )
  }
}
