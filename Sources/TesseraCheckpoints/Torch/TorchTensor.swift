import TesseraCore

/// A tensor that was found in a pickle.
struct TorchTensor {
  let storage: TorchStorage
  let stored: StoredTensor
  /// Whether another tensor of the same bytes is a second name of this one.
  var isShared = true

  /// What tells this tensor's data from others': equal keys mean the same elements.
  var dataKey: DataKey {
    DataKey(identity: storage.identity, start: storage.start, stored: stored)
  }

  struct DataKey: Hashable {
    let identity: String
    let start: Int
    let stored: StoredTensor
  }
}

/// A part of a value.
enum TorchPart {
  /// Another value of the pickle.
  case node(PickleNode)
  /// What an object keeps beside its elements: its fields.
  case state(PickleNode)
  /// A tensor that is made already.
  case tensor(TorchTensor)
}

/// Makes tensors of the records that stand for torch's rebuilding functions and for numpy's arrays.
struct TorchTensorReader {
  let tree: PickleTree
  let storages: any TorchStorages
  private let nested = NestedStorages()

  init(tree: PickleTree, storages: any TorchStorages) {
    (self.tree, self.storages) = (tree, storages)
  }

  /// The storages in complete files inside of the pickle, by the node of their bytes: many tensors may
  /// name one, and each look reads that file.
  private final class NestedStorages {
    var byNode: [PickleNode: TorchStorage] = [:]
  }

  /// What a node stands for.
  enum Finding {
    /// Something without tensors of its own kind.
    case other
    case tensor(TorchTensor)
    /// Tensors in parts, such as a sparse one's indices and values.
    case parts([(name: String, part: TorchPart)], note: String)
    /// Another node that holds the value.
    case wrapped(PickleNode)
    /// Something that has no meaning as numbers, and what it is.
    case passedOver(String)
    /// A tensor that cannot be read exactly, and why.
    case unreadable(String)
  }

  /// Looks at a node.
  func find(_ node: PickleNode) throws -> Finding {
    switch tree[node] {
    case .persistent(let identification):
      if let tensor = try storages.tensor(identification, in: tree) { return .tensor(tensor) }
      let storage = try storages.storage(TorchStorageIdentification(identification, in: tree))
      return try whole(storage)
    case .record(let record):
      guard let name = tree.global(record.constructor),
        case .tuple(let arguments) = tree[record.arguments]
      else { return .other }
      return try find(record, named: name, arguments)
    default: return .other
    }
  }

  private func find(
    _ record: PickleRecord,
    named global: PickleGlobal,
    _ arguments: [PickleNode]
  ) throws -> Finding {
    switch (global.module.split(separator: ".").first, global.name) {
    case ("torch", "_rebuild_tensor"), ("torch", "_rebuild_tensor_v2"),
      ("torch", "_rebuild_tensor_v3"):
      return try tensor(global.name, arguments)
    case ("torch", "_rebuild_qtensor"): return try quantized(global, arguments)
    case ("torch", "_rebuild_parameter"), ("torch", "_rebuild_parameter_with_state"),
      ("torch", "restore_type_tag"), ("torch", "build_tensorlist"), ("torch", "build_intlist"),
      ("torch", "build_doublelist"), ("torch", "build_boollist"):
      guard let first = arguments.first else { throw damaged(global, "has no arguments") }
      return .wrapped(first)
    case ("torch", "Parameter"), ("torch", "Buffer"):
      return arguments.first.map { .wrapped($0) } ?? .unreadable("a parameter without data")
    case ("torch", "_rebuild_from_type_v2"), ("torch", "_rebuild_from_type"):
      return try fromType(global, arguments)
    case ("torch", "_load_from_bytes"): return try whole(nestedStorage(arguments))
    case ("torch", "_rebuild_sparse_tensor"), ("torch", "_rebuild_sparse_csr_tensor"):
      return try sparse(global, arguments)
    case ("torch", "_rebuild_device_tensor_from_numpy"),
      ("torch", "_rebuild_device_tensor_from_cpu_tensor"):
      return arguments.first.map { .wrapped($0) } ?? .other
    case ("torch", "_rebuild_meta_tensor_no_storage"), ("torch", "_rebuild_nested_tensor"),
      ("torch", "_rebuild_wrapper_subclass"), ("torch", "_empty_parameter"):
      return .unreadable("made by \(global), which keeps no plain data; save a plain tensor of it")
    case ("torch", "ShardedTensor"), ("torch", "DTensor"), ("torch", "ShardedTensorBase"):
      return .unreadable(
        "a \(global.name), of which each file has a part; save the full state dict"
      )
    case ("torch", "UninitializedParameter"), ("torch", "UninitializedBuffer"):
      return .unreadable("an \(global.name): its layer never saw a batch, so it has no shape")
    case ("torch", let name) where name.hasPrefix("_rebuild_") && name.contains("tensor"):
      // Devices of their own keep a numpy array or a plain tensor first.
      return arguments.count == 1
        ? .wrapped(arguments[0]) : .unreadable("made by \(global), which is not known here")
    case ("numpy", _), ("jax", _), ("jaxlib", _):
      return try NumpyPickle(tree: tree).find(record, named: global, arguments)
    case ("array", "_array_reconstructor"), ("array", "array"):
      return .unreadable("an array of Python's module 'array'; save it as a numpy array")
    case ("builtins", "tuple"):
      // Paddle writes a parameter as tuple((name, array)).
      guard arguments.count == 1, case .tuple(let pair) = tree[arguments[0]], pair.count == 2,
        tree.text(pair[0]) != nil, tree.record(pair[1]) != nil
      else { return .other }
      return .wrapped(pair[1])
    default: return .other
    }
  }

  /// A tensor made by one of the functions that take storage, offset, size and stride.
  func tensor(_ function: String, _ arguments: [PickleNode]) throws -> Finding {
    func damaged(_ cause: String) -> TesseraError {
      TesseraError.malformed(cause, file: tree.region.name, place: function)
    }
    guard arguments.count >= 4, let offset = tree.integer(arguments[1]),
      let size = integers(arguments[2]), let strides = integers(arguments[3])
    else { throw damaged("a tensor without storage, offset, size and stride") }
    guard size.allSatisfy({ $0 >= 0 }), size.count <= 64 else {
      throw damaged("\(size) is no shape")
    }
    let storage = try storage(arguments[0])
    var type = storage.type
    if function == "_rebuild_tensor_v3" {
      guard arguments.count > 6, let name = tree.global(arguments[6]) else {
        throw damaged("a tensor without its dtype")
      }
      type = TorchElementType(named: name.name)
    }
    let metadata = function == "_rebuild_tensor_v3" ? 7 : 6
    guard let (elementType, shape) = try readable(type, size, strides) else {
      return .unreadable("its type \(type.name) has no place here; cast it first")
    }
    let (start, overflow) = offset.multipliedReportingOverflow(by: elementType == .float4 ? 2 : 1)
    guard !overflow,
      var stored = StoredTensor(
        elementType: elementType,
        shape: shape,
        strides: elementType == .float4 ? StoredTensor.rowMajorStrides(of: shape) : strides,
        offset: start,
        storageBytes: storage.byteCount
      )
    else {
      throw damaged("\(size) with strides \(strides) from \(offset) leaves its storage")
    }
    stored.isBigEndian = storage.isBigEndian
    if arguments.count > metadata, case .dictionary(let flags) = tree[arguments[metadata]] {
      // Two flags are known; a longer list may be shared by all tensors.
      guard flags.count <= 64 else { throw damaged("\(flags.count) flags of one tensor") }
      for flag in flags where tree[flag.value] == .boolean(true) {
        if tree.text(flag.key) == "conj" { stored.isConjugated = true }
        if tree.text(flag.key) == "neg" { stored.isNegated = true }
      }
    }
    if stored.isNegated,
      ![.float16, .bfloat16, .float32, .float64, .complex64, .complex128]
        .contains(elementType)
    {
      return .unreadable("a negated view of integers; save a copy of it")
    }
    return .tensor(TorchTensor(storage: storage, stored: stored))
  }

  /// Element type and shape as they are here: pairs of float4 become two elements.
  private func readable(
    _ type: TorchElementType,
    _ size: [Int],
    _ strides: [Int]
  ) throws -> (ElementType, Shape)? {
    guard let elementType = type.elementType else { return nil }
    guard elementType == .float4 else { return (elementType, Shape(size)) }
    guard let last = size.last, last <= Int.max / 2,
      StoredTensor(
        elementType: .uint8,
        shape: Shape(size),
        strides: strides,
        offset: 0,
        storageBytes: .max
      )?.isRowMajor == true
    else { return nil }
    return (elementType, Shape(size.dropLast() + [2 * last]))
  }

  /// A storage saved by itself, as a tensor of one axis.
  private func whole(_ storage: TorchStorage) throws -> Finding {
    guard let type = storage.type.elementType, type != .float4 else {
      return .unreadable("a storage of type \(storage.type.name), which has no place here")
    }
    let count = storage.byteCount / max(1, type.bitWidth / 8)
    var stored = StoredTensor(elementType: type, shape: [count])
    stored.isBigEndian = storage.isBigEndian
    return .tensor(TorchTensor(storage: storage, stored: stored))
  }

  /// The storage at a node; `wrappers` counts the records around it, of which a file has one or two.
  private func storage(_ node: PickleNode, wrappers: Int = 0) throws -> TorchStorage {
    switch tree[node] {
    case .persistent(let identification):
      return try storages.storage(TorchStorageIdentification(identification, in: tree))
    case .record(let record):
      guard let name = tree.global(record.constructor),
        case .tuple(let arguments) = tree[record.arguments]
      else { break }
      if name.name == "_load_from_bytes" { return try nestedStorage(arguments) }
      // Storages of some versions are wrapped: TypedStorage(wrap_storage=…, dtype=…).
      if name.name.hasSuffix("Storage"), let first = arguments.first, wrappers < 4 {
        return try storage(first, wrappers: wrappers + 1)
      }
    default: break
    }
    throw TesseraError.malformed(
      "its storage is none: the file is damaged or made by hand",
      file: tree.region.name,
      place: "tensor"
    )
  }

  /// The storage in a complete old torch file that is kept as bytes.
  private func nestedStorage(_ arguments: [PickleNode]) throws -> TorchStorage {
    let place = arguments.first.map(NumpyPickle(tree: tree).dataNode)
    if let place, let known = nested.byNode[place] { return known }
    let storage = try readNestedStorage(arguments)
    if let place { nested.byNode[place] = storage }
    return storage
  }

  private func readNestedStorage(_ arguments: [PickleNode]) throws -> TorchStorage {
    guard let node = arguments.first, let bytes = try NumpyPickle(tree: tree).rawBytes(node)?.0
    else {
      throw TesseraError.malformed(
        "its argument is not bytes",
        file: tree.region.name,
        place: "_load_from_bytes"
      )
    }
    let name = tree.region.name
    let unpack: @Sendable () throws -> FileRegion
    switch bytes {
    case .region(let region):
      return try TorchLegacyFile(region: region).onlyStorage(named: "bytes \(region.start)")
    case .memory(let bytes): unpack = { FileRegion(bytes: bytes, name: name) }
    case .packed(let closure): unpack = closure
    }
    // Open only while it is looked at: a pickle may hold more of them than files can be open.
    let region = try unpack()
    let storage = try TorchLegacyFile(region: region).onlyStorage(named: "text \(node.index)")
    guard case .region(let part) = storage.place else { return storage }
    let range = part.start - region.start..<part.start - region.start + part.length
    return TorchStorage(
      identity: storage.identity,
      type: storage.type,
      byteCount: storage.byteCount,
      place: .packed { try unpack().part(range, name: name) },
      isBigEndian: storage.isBigEndian
    )
  }

  private func fromType(_ global: PickleGlobal, _ arguments: [PickleNode]) throws -> Finding {
    guard arguments.count >= 3, let function = tree.global(arguments[0]),
      case .tuple(let inner) = tree[arguments[2]]
    else { throw damaged(global, "lacks its function or arguments") }
    guard !function.name.hasPrefix("_rebuild_from_type") else {
      throw damaged(global, "is given itself as the function")
    }
    let className = tree.global(arguments[1]).map(\.description) ?? "a class of its own"
    if ["DTensor", "ShardedTensor", "FlatParameter"].contains(where: className.hasSuffix) {
      return .unreadable("a \(className), of which each file has a part; save the full state dict")
    }
    let record = PickleRecord(constructor: arguments[0], arguments: arguments[2])
    let finding = try find(record, named: function, inner)
    if case .other = finding { return .unreadable("made by \(function) for \(className)") }
    guard arguments.count > 3, holdsValues(arguments[3]) else { return finding }
    let note = "a tensor of \(className): what it keeps beside its elements stands under its name"
    let state: (name: String, part: TorchPart) = ("", .state(arguments[3]))
    switch finding {
    case .tensor(let tensor): return .parts([("", .tensor(tensor)), state], note: note)
    case .wrapped(let node): return .parts([("", .node(node)), state], note: note)
    case .parts(let parts, let more): return .parts(parts + [state], note: "\(more); \(note)")
    case .other, .unreadable, .passedOver: return finding
    }
  }

  /// Whether the state of a tensor's class, a dictionary or one with slots, has anything in it.
  private func holdsValues(_ state: PickleNode) -> Bool {
    if case .tuple(let parts) = tree[state] { return parts.contains(where: holdsValues) }
    return tree.entries(state)?.isEmpty == false
  }

  func integers(_ node: PickleNode) -> [Int]? {
    var node = node
    // torch.Size is written as a record around a tuple by some versions.
    if case .record(let record) = tree[node], tree.global(record.constructor)?.name == "Size",
      case .tuple(let arguments) = tree[record.arguments], let first = arguments.first
    {
      node = first
    }
    guard let nodes = tree.elements(node) else { return nil }
    let values = nodes.compactMap(tree.integer)
    return values.count == nodes.count ? values : nil
  }

  func damaged(_ global: PickleGlobal, _ cause: String) -> TesseraError {
    TesseraError.malformed(cause, file: tree.region.name, place: "\(global)")
  }
}

extension TorchElementType {
  /// The type's name for messages.
  var name: String {
    switch self {
    case .known(let type), .quantized(let type): type.rawValue
    case .unknown(let name, _): name
    }
  }
}
