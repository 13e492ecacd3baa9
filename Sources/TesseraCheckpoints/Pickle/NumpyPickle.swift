import Foundation
import TesseraCore

/// numpy's arrays and numbers inside of a pickle.
struct NumpyPickle {
  let tree: PickleTree

  /// What a record of one of numpy's functions stands for.
  func find(
    _ record: PickleRecord,
    named global: PickleGlobal,
    _ arguments: [PickleNode]
  ) throws -> TorchTensorReader.Finding {
    switch global.name {
    case "_reconstruct":
      guard let state = record.state else { return .unreadable("a numpy array without its state") }
      return try array(ofState: state)
    // A jax array: numpy's function, its arguments and its state; then what jax knows of it.
    case "_reconstruct_array", "_reconstruct_device_array", "reconstruct_device_array":
      guard arguments.count >= 3 else { return .unreadable("a jax array without its state") }
      return try array(ofState: arguments[2])
    case "_frombuffer":
      guard arguments.count >= 4 else { return .unreadable("a numpy array without its buffer") }
      return try array(
        shape: arguments[2],
        type: arguments[1],
        isFortran: tree.text(arguments[3]) == "F",
        data: arguments[0]
      )
    case "_mareconstruct":
      return .unreadable("a masked array; save its data and its mask as arrays of their own")
    case let name where global.module.hasPrefix("jax") && name.contains("reconstruct"):
      return .unreadable("made by \(global), which is not known here; save numpy arrays")
    default: return .other
    }
  }

  /// An array from what `ndarray.__setstate__` takes: a version, then shape, type, order and data.
  private func array(ofState state: PickleNode) throws -> TorchTensorReader.Finding {
    guard case .tuple(let parts) = tree[state], parts.count >= 4 else {
      return .unreadable("a numpy array without its state")
    }
    let fields = Array(parts.suffix(4))
    return try array(
      shape: fields[0],
      type: fields[1],
      isFortran: tree[fields[2]] == .boolean(true),
      data: fields[3]
    )
  }

  private func array(
    shape: PickleNode,
    type: PickleNode,
    isFortran: Bool,
    data: PickleNode
  ) throws -> TorchTensorReader.Finding {
    func damaged(_ cause: String) -> TesseraError {
      TesseraError.malformed(cause, file: tree.region.name, place: "numpy array")
    }
    guard let extents = tree.elements(shape)?.map(tree.integer), extents.count <= 64 else {
      throw damaged("has no shape")
    }
    let dimensions = extents.compactMap { $0 }.filter { $0 >= 0 }
    guard dimensions.count == extents.count else { throw damaged("has an extent that is none") }
    if let kind = textKind(type) { return .passedOver("a numpy array of \(kind), no tensor") }
    guard let (elementType, isBigEndian) = elementType(type) else {
      return .unreadable("a numpy array of objects, strings or structures")
    }
    guard let (place, byteCount) = try rawBytes(data) else {
      return .unreadable("a numpy array whose data are no bytes")
    }
    let shape = Shape(dimensions)
    guard let count = shape.elementCount, elementType.byteCount(elements: count) == byteCount
    else { throw damaged("\(shape) of \(elementType.rawValue) is not \(byteCount) bytes") }
    let strides =
      isFortran ? columnMajorStrides(of: shape) : StoredTensor.rowMajorStrides(of: shape)
    guard
      var stored = StoredTensor(
        elementType: elementType,
        shape: shape,
        strides: strides,
        offset: 0,
        storageBytes: byteCount
      )
    else { throw damaged("\(shape) overflows") }
    stored.isBigEndian = isBigEndian
    let storage = TorchStorage(
      identity: "numpy \(data.index)",
      type: .known(elementType),
      byteCount: byteCount,
      place: place,
      isBigEndian: isBigEndian
    )
    return .tensor(TorchTensor(storage: storage, stored: stored))
  }

  private func columnMajorStrides(of shape: Shape) -> [Int] {
    Array(StoredTensor.rowMajorStrides(of: Shape(shape.dimensions.reversed())).reversed())
  }

  /// The element type of a `numpy.dtype` record and whether it is big-endian.
  private func elementType(_ node: PickleNode) -> (ElementType, isBigEndian: Bool)? {
    guard let record = tree.record(node), tree.global(record.constructor)?.name == "dtype",
      case .tuple(let arguments) = tree[record.arguments], let first = arguments.first
    else { return nil }
    let kind = tree.text(first) ?? ""
    guard kind.utf8.count <= 16 else { return nil }
    let plain = kind.drop { "<>|=".contains($0) }
    // Types beyond numpy's own are classes of ml_dtypes, which jax uses too.
    let named = tree.global(first).flatMap { ElementType(dtypeName: $0.name) }
    guard let type = named ?? ElementType(numpyKind: String(plain)) else { return nil }
    var order = kind.first == ">" ? ">" : "<"
    if let state = record.state, case .tuple(let parts) = tree[state], parts.count > 4 {
      // Structures and sub-arrays keep their fields in the state.
      guard tree[parts[2]] == .none, tree[parts[3]] == .none else { return nil }
      order = tree.text(parts[1]) ?? order
    }
    return (type, order == ">" && type.bitWidth > 8)
  }

  /// What the elements are where they are texts or dates; nil for anything else.
  private func textKind(_ node: PickleNode) -> String? {
    guard let record = tree.record(node), tree.global(record.constructor)?.name == "dtype",
      case .tuple(let arguments) = tree[record.arguments],
      let kind = arguments.first.flatMap(tree.text)
    else { return nil }
    switch kind.drop(while: { "<>|=".contains($0) }).first {
    case "U", "S", "T": return "strings"
    case "M", "m": return "dates"
    default: return nil
    }
  }

  /// The bytes at a node: plain ones, or a text of Latin-1 as protocol 2 writes them, in at most two calls.
  func rawBytes(
    _ node: PickleNode,
    calls: Int = 0
  ) throws -> (StorageBytes, byteCount: Int)? {
    let name = tree.region.name
    switch tree[node] {
    case .bytes(let range): return (.region(tree.region.part(range, name: name)), range.count)
    case .text(let text):
      guard let count = tree.cells.text(node)?.latin1Count else { throw Latin1Text.refusal(name) }
      // A text may belong to many arrays: each unpacks and keeps only a short one.
      guard count > 1 << 12 else { return (.memory(try latin1(text)), count) }
      return (.packed { try FileRegion(bytes: latin1(text), name: name) }, count)
    case .longText(let range):
      let text = try Latin1Text(region: tree.region.part(range, name: name))
      return (.packed { try text.unpacked() }, text.byteCount)
    case .record(let record):
      guard let function = tree.global(record.constructor)?.name,
        case .tuple(let arguments) = tree[record.arguments]
      else { return nil }
      if ["bytearray", "bytes"].contains(function), arguments.isEmpty { return (.memory([]), 0) }
      guard calls < 2, makesBytes(function, of: arguments), let first = arguments.first else {
        return nil
      }
      return try rawBytes(first, calls: calls + 1)
    default: return nil
    }
  }

  /// The node of the plain bytes or text that `rawBytes` reads for a node.
  func dataNode(_ node: PickleNode) -> PickleNode {
    var node = node
    for _ in 0..<2 {
      guard let record = tree.record(node), case .tuple(let arguments) = tree[record.arguments],
        let first = arguments.first
      else { break }
      node = first
    }
    return node
  }

  /// Whether a call makes bytes as pickles write them: of a text by Latin-1, or of bytes.
  private func makesBytes(_ function: String, of arguments: [PickleNode]) -> Bool {
    guard ["encode", "bytearray"].contains(function), let first = arguments.first else {
      return false
    }
    if arguments.count > 1 {
      return tree.text(arguments[1]).map { ["latin1", "latin-1"].contains($0) } ?? false
    }
    switch tree[first] {
    case .bytes, .record: return function == "bytearray"
    default: return false
    }
  }

  private func latin1(_ text: String) throws -> [UInt8] {
    try text.unicodeScalars.map { scalar in
      guard let byte = UInt8(exactly: scalar.value) else {
        throw Latin1Text.refusal(tree.region.name)
      }
      return byte
    }
  }

  /// A numpy number as text: `numpy.core.multiarray.scalar(dtype, bytes)`.
  func scalarText(_ record: PickleRecord) -> String? {
    guard let name = tree.global(record.constructor), name.name == "scalar",
      name.module.hasPrefix("numpy"), case .tuple(let arguments) = tree[record.arguments],
      arguments.count == 2, let (type, isBigEndian) = elementType(arguments[0]),
      let (place, byteCount) = try? rawBytes(arguments[1]), byteCount == type.bitWidth / 8
    else { return nil }
    var bytes: [UInt8]
    switch place {
    case .memory(let content): bytes = content
    case .region(let region): bytes = (try? region.bytes(0..<byteCount)) ?? []
    default: return nil
    }
    guard bytes.count == byteCount else { return nil }
    if isBigEndian { bytes.reverse() }
    let tensor = Tensor(elementType: type, shape: [1], bytes: bytes)
    switch type {
    case .float64: return tensor.elements(as: Double.self)?.first.map { "\($0)" }
    case .float32: return tensor.elements(as: Float.self)?.first.map { "\($0)" }
    case .float16: return (try? tensor.floats())?.first.map { "\($0)" }
    case .bool: return bytes[0] == 0 ? "false" : "true"
    case .uint64: return tensor.elements(as: UInt64.self)?.first.map { "\($0)" }
    default: return tensor.integers()?.first.map(String.init)
    }
  }
}
