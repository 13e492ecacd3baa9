import CHDF5
package import TesseraCore

/// An HDF5 file as h5py writes it by default: contiguous datasets that every h5py opens.
///
/// A tensor's name is its path: slashes make groups, dots stay. What HDF5 has no type for (bfloat16,
/// the floats of 8 bits) is opaque with an attribute `dtype`, as Keras writes it. What the file says
/// beside its tensors stands in attributes of the root.
package struct HDF5Layout: CheckpointLayout {
  /// The tensors, in the order given.
  package let tensors: [TensorInfo]
  /// Never: contiguous datasets have no checksums.
  package var needsChecksums: Bool { false }
  /// Keras' groups of variables, empty ones among them, with the names of what holds these.
  private let groups: [String: String?]
  /// What another file's objects carry beside their data.
  private let attributes: HDF5AttributeCopy?
  private let format: String

  /// Lays out tensors as a plain file.
  ///
  /// - Parameters:
  ///   - tensors: In the order of their bytes.
  ///   - attributes: Groups and attributes of another file that this one takes over.
  /// - Throws: `TesseraError` where HDF5 has no such type, or a name is no path.
  package init(
    tensors: [TensorInfo],
    attributes: HDF5AttributeCopy? = nil
  ) throws(TesseraError) {
    let kept = attributes?.groups.map { ($0, String?.none) } ?? []
    let groups = Dictionary(kept) { first, _ in first }
    try self.init(tensors, groups: groups, attributes, format: "h5")
  }

  /// Lays out Keras 3's variables as `Model.save_weights` does: paths that end in `vars/0`,
  /// `vars/1` and so on.
  ///
  /// - Parameters:
  ///   - tensors: The variables.
  ///   - names: What Keras calls the layer, optimizer or model that holds a group of variables, by the
  ///     group's path such as `layers/dense/vars`. A group that no variable is in is empty.
  ///   - attributes: Groups and attributes of another file that this one takes over.
  /// - Throws: `TesseraError` where a name is no variable's.
  package init(
    kerasVariables tensors: [TensorInfo],
    names: [String: String] = [:],
    attributes: HDF5AttributeCopy? = nil
  ) throws(TesseraError) {
    for tensor in tensors {
      let parts = tensor.name.split(separator: "/")
      let isVariable = parts.count > 1 && parts[parts.count - 2] == "vars"
      guard isVariable, parts.last?.allSatisfy({ $0.isASCII && $0.isNumber }) == true else {
        let cause =
          "no variable of Keras 3, whose names end in 'vars/0', 'vars/1'…; "
          + "write a plain .h5, or use a recipe that gives such names"
        throw TesseraError.mismatch(cause + " (weights.h5)", place: tensor.name)
      }
    }
    // Keras looks for the variables of the model itself even where it has none.
    var groups: [String: String?] = ["vars": nil]
    for path in attributes?.groups ?? [] { groups.updateValue(nil, forKey: path) }
    for (path, name) in names { groups[path] = name }
    try self.init(tensors, groups: groups, attributes, format: "weights.h5")
  }

  private init(
    _ tensors: [TensorInfo],
    groups: [String: String?],
    _ attributes: HDF5AttributeCopy?,
    format: String
  ) throws(TesseraError) {
    var datasets: Set<String> = []
    var parents: Set<String> = []
    for tensor in tensors {
      func refusal(_ cause: String) -> TesseraError {
        TesseraError.mismatch(cause + " (\(format))", place: tensor.name)
      }
      guard datasets.insert(tensor.name).inserted else { throw refusal("two tensors of this name") }
      let parts = tensor.name.split(separator: "/", omittingEmptySubsequences: false)
      guard !parts.contains(""), !parts.contains("."), !tensor.name.contains("\0") else {
        throw refusal("no path of HDF5: parts are not empty and not '.'")
      }
      for count in 1..<max(1, parts.count) {
        parents.insert(parts[..<count].joined(separator: "/"))
      }
      guard tensor.elementType.hdf5 != nil, tensor.byteCount != nil else {
        throw refusal("HDF5 has no type for \(tensor.elementType.rawValue)")
      }
      guard tensor.shape.rank <= 32 else { throw refusal("HDF5 has at most 32 axes") }
    }
    if let clash = parents.intersection(datasets).min() {
      let cause = "is a tensor and the group of others; HDF5 has one object a path"
      throw TesseraError.mismatch(cause + " (\(format))", place: clash)
    }
    self.tensors = tensors
    // A path that is a tensor's here is no group's.
    self.groups = groups.filter { !datasets.contains($0.key) }
    (self.attributes, self.format) = (attributes, format)
  }

  /// Creates the groups and datasets, and reserves the file.
  package func begin(_ file: inout AtomicFile) throws -> [CheckpointEntry] {
    let path = file.partialPath
    let name = file.path
    let offsets = try HDF5.perform(on: name) { () throws in
      let identifier = unsafe chdf5_create(path)
      return try closing(identifier, of: name, "create the file") { try fill(identifier, name) }
    }
    let entries = tensors.map { tensor in
      let start = offsets[tensor.name] ?? 0
      return CheckpointEntry(tensor: tensor, bytes: start..<start + (tensor.byteCount ?? 0))
    }
    try file.reserve(byteCount: entries.map(\.bytes.upperBound).max() ?? 0)
    return entries
  }

  /// Runs `body` on an open file and closes it, checked: what the library holds is written then.
  private func closing<Value>(
    _ identifier: hid_t,
    of name: String,
    _ attempt: String,
    _ body: () throws -> Value
  ) throws -> Value {
    guard identifier >= 0 else { throw failure(attempt, in: name) }
    let value: Value
    do {
      value = try body()
    } catch {
      _ = chdf5_close(identifier)
      throw error
    }
    guard chdf5_close(identifier) else { throw failure("write the file", in: name) }
    return value
  }

  /// Creates groups and datasets in an empty file; returns where the data of each tensor lie.
  private func fill(_ identifier: hid_t, _ name: String) throws -> [String: Int] {
    for (group, holder) in groups.sorted(by: { $0.key < $1.key }) where !group.isEmpty {
      guard unsafe chdf5_add_group(identifier, group) else {
        throw failure("create the group '\(group)'", in: name)
      }
      if let holder, unsafe !chdf5_add_text(identifier, group, "name", holder) {
        throw failure("name the group '\(group)'", in: name)
      }
    }
    var offsets: [String: Int] = [:]
    for tensor in tensors {
      offsets[tensor.name] = try add(tensor, to: identifier, offsets, in: name)
    }
    return offsets
  }

  /// Creates one dataset, or a second name of one; returns where its data lie.
  private func add(
    _ tensor: TensorInfo,
    to file: hid_t,
    _ offsets: [String: Int],
    in name: String
  ) throws -> Int {
    if let original = tensor.aliasOf, let offset = offsets[original] {
      guard unsafe chdf5_add_link(file, original, tensor.name) else {
        throw failure("link it to '\(original)'", tensor.name, in: name)
      }
      return offset
    }
    guard let type = tensor.elementType.hdf5 else { return 0 }
    let extents = tensor.shape.dimensions.map { hsize_t($0) }
    var offset: UInt64 = 0
    let isDone = unsafe chdf5_add_dataset(
      file,
      tensor.name,
      type.kind,
      tensor.elementType.bitWidth / 8,
      UInt32(extents.count),
      extents,
      &offset
    )
    guard isDone else { throw failure("create the dataset", tensor.name, in: name) }
    if let stated = type.statedName, unsafe !chdf5_add_text(file, tensor.name, "dtype", stated) {
      throw failure("state the type", tensor.name, in: name)
    }
    return Int(offset)
  }

  /// Adds the attributes of the root.
  package func finish(_ file: inout AtomicFile, with ending: CheckpointEnding) throws {
    var strings = ending.metadata
    // About PyTorch's layout in safetensors, and nothing else.
    strings["format"] = nil
    let sorted = strings.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    let (path, name) = (file.partialPath, file.path)
    try HDF5.perform(on: name) { () throws in
      let identifier = unsafe chdf5_reopen(path)
      try closing(identifier, of: name, "open the file again") {
        if let attributes, let failed = attributes.copy(to: identifier) {
          throw failure("copy the attribute '\(failed)'", in: name)
        }
        for (key, value) in sorted where unsafe !chdf5_add_text(identifier, "/", key, value) {
          throw failure("add the attribute '\(key)'", in: name)
        }
      }
    }
  }

  /// The error of the library call that failed last; to be made right after it.
  private func failure(
    _ attempt: String,
    _ tensor: String = "",
    in file: String
  ) -> TesseraError {
    let (words, system) = HDF5.failure(of: attempt, on: file)
    if let system { return system }
    let cause = words.isEmpty ? "could not \(attempt)" : "could not \(attempt): \(words)"
    return TesseraError.mismatch(cause + " (\(format))", place: tensor)
  }
}

extension ElementType {
  /// How h5py stores the type, and the name Keras states where HDF5 has none; nil for sub-bytes.
  fileprivate var hdf5: (kind: chdf5_kind, statedName: String?)? {
    switch self {
    case .bool: (CHDF5_BOOLEAN, nil)
    case .int8, .int16, .int32, .int64: (CHDF5_INTEGER, nil)
    case .uint8, .uint16, .uint32, .uint64: (CHDF5_UNSIGNED, nil)
    case .float16, .float32, .float64: (CHDF5_FLOAT, nil)
    case .complex64, .complex128: (CHDF5_COMPLEX, nil)
    case .bfloat16: (CHDF5_OPAQUE, "bfloat16")
    case .float8E4M3: (CHDF5_OPAQUE, "float8_e4m3fn")
    case .float8E5M2: (CHDF5_OPAQUE, "float8_e5m2")
    case .float8E4M3FNUZ: (CHDF5_OPAQUE, "float8_e4m3fnuz")
    case .float8E5M2FNUZ: (CHDF5_OPAQUE, "float8_e5m2fnuz")
    case .float8E8M0, .float4, .float6E2M3, .float6E3M2: nil
    }
  }
}
