import TesseraCore

/// The pickle of a dictionary of tensors: the few opcodes of protocol 2 that `torch.save` uses.
///
/// A tensor is a call of PyTorch's own rebuilding function with a storage named by its key, which is
/// all that `torch.load(weights_only=True)` allows. No memo: nothing refers back.
struct StateDictPickle {
  /// Protocol 2, an empty dictionary, a mark.
  private var bytes: [UInt8] = [0x80, 2, UInt8(ascii: "}"), UInt8(ascii: "(")]

  /// The whole pickle: sets the items and stops.
  var finished: [UInt8] { bytes + Array("u.".utf8) }

  /// Adds a tensor that fills a storage; false where PyTorch has no such type.
  mutating func add(_ tensor: TensorInfo, storage: Int) -> Bool {
    guard let type = PyTorchType(tensor.elementType),
      var extents = Optional(tensor.shape.dimensions)
    else { return false }
    if tensor.elementType == .float4 {
      // PyTorch counts pairs.
      guard let last = extents.last, last % 2 == 0 else { return false }
      extents[extents.count - 1] = last / 2
    }
    var strides = [Int](repeating: 1, count: extents.count)
    for axis in extents.indices.dropLast().reversed() {
      // An extent of 0 counts as 1, as PyTorch's strides have it.
      let (stride, overflow) = strides[axis + 1].multipliedReportingOverflow(
        by: max(1, extents[axis + 1])
      )
      if overflow { return false }
      strides[axis] = stride
    }
    let count = Shape(extents).elementCount ?? 0
    add(text: tensor.name)
    add(global: "torch._utils", type.storage == nil ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2")
    add("((")
    add(text: "storage")
    if let storage = type.storage {
      add(global: "torch", storage)
    } else {
      add(global: "torch.storage", "UntypedStorage")
    }
    add(text: "\(storage)")
    add(text: "cpu")
    add(type.storage == nil ? tensor.byteCount ?? 0 : count)
    add("tQ")
    add(0)
    add(tuple: extents)
    add(tuple: strides)
    bytes.append(0x89)  // requires no gradient
    add(global: "collections", "OrderedDict")
    add(")R")
    if let name = type.name { add(global: "torch", name) }
    add("tR")
    return true
  }

  private mutating func add(_ opcodes: String) { bytes += Array(opcodes.utf8) }

  private mutating func add(global module: String, _ name: String) {
    add("c\(module)\n\(name)\n")
  }

  private mutating func add(text: String) {
    var head = LittleEndianText()
    head.add(text.utf8.count, bytes: 4)
    bytes += [UInt8(ascii: "X")] + head.bytes + Array(text.utf8)
  }

  private mutating func add(_ number: Int) {
    var text = LittleEndianText()
    switch number {
    case 0..<0x100:
      text.add(0x4B, bytes: 1)
      text.add(number, bytes: 1)
    case 0x100..<0x1_0000:
      text.add(0x4D, bytes: 1)
      text.add(number, bytes: 2)
    case 0x1_0000..<0x8000_0000:
      text.add(0x4A, bytes: 1)
      text.add(number, bytes: 4)
    default:
      // LONG1: as few bytes as keep the sign.
      let count = (64 - number.leadingZeroBitCount) / 8 + 1
      text.add(0x8A, bytes: 1)
      text.add(count, bytes: 1)
      text.add(number, bytes: count)
    }
    bytes += text.bytes
  }

  private mutating func add(tuple numbers: [Int]) {
    if numbers.isEmpty { return add(")") }
    add("(")
    for number in numbers { add(number) }
    add("t")
  }
}

/// What PyTorch calls an element type in its files.
private struct PyTorchType {
  /// The class of its storages, for the types that have one.
  let storage: String?
  /// The name of the type, for the others.
  let name: String?

  init?(_ type: ElementType) {
    let storage: String? =
      switch type {
      case .bool: "BoolStorage"
      case .uint8: "ByteStorage"
      case .int8: "CharStorage"
      case .int16: "ShortStorage"
      case .int32: "IntStorage"
      case .int64: "LongStorage"
      case .float16: "HalfStorage"
      case .bfloat16: "BFloat16Storage"
      case .float32: "FloatStorage"
      case .float64: "DoubleStorage"
      case .complex64: "ComplexFloatStorage"
      case .complex128: "ComplexDoubleStorage"
      default: nil
      }
    let name: String? =
      switch type {
      case .uint16: "uint16"
      case .uint32: "uint32"
      case .uint64: "uint64"
      case .float8E5M2: "float8_e5m2"
      case .float8E4M3: "float8_e4m3fn"
      case .float8E5M2FNUZ: "float8_e5m2fnuz"
      case .float8E4M3FNUZ: "float8_e4m3fnuz"
      case .float8E8M0: "float8_e8m0fnu"
      case .float4: "float4_e2m1fn_x2"
      default: nil
      }
    guard storage != nil || name != nil else { return nil }
    (self.storage, self.name) = (storage, name)
  }
}
