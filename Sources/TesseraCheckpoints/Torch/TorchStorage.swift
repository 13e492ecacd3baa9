import TesseraCore

/// A run of bytes that torch's tensors look into.
struct TorchStorage: Sendable {
  /// Which bytes these are: tensors of one identity share them.
  let identity: String
  /// Where the storage starts in the bytes of that identity: views of old files start later.
  var start = 0
  let type: TorchElementType
  /// How many bytes it has.
  let byteCount: Int
  let place: StorageBytes
  let isBigEndian: Bool
}

/// Where a file keeps its storages.
protocol TorchStorages {
  /// The storage of a persistent identification `('storage', type, key, location, count, …)`.
  func storage(_ identification: TorchStorageIdentification) throws -> TorchStorage

  /// The tensor that a persistent object is; nil where it is a storage, as in all but the oldest files.
  func tensor(_ identification: PickleNode, in tree: PickleTree) throws -> TorchTensor?
}

extension TorchStorages {
  func tensor(_ identification: PickleNode, in tree: PickleTree) throws -> TorchTensor? { nil }
}

/// What a pickle says of a storage that lies elsewhere in the file.
struct TorchStorageIdentification {
  let type: TorchElementType
  let key: String
  /// How many elements it has; of bytes where it is untyped.
  let count: Int
  /// The part of a root storage that a view takes in old files: key, first element, count.
  let view: (key: String, offset: Int, count: Int)?

  /// Reads an identification, or throws where it is none.
  init(_ node: PickleNode, in tree: PickleTree) throws {
    func refusal(_ cause: String) -> TesseraError {
      TesseraError.malformed(cause, file: tree.region.name, place: "storage")
    }
    guard case .tuple(let parts) = tree[node], parts.count >= 5,
      tree.text(parts[0]) == "storage", let type = tree.global(parts[1]),
      let count = tree.integer(parts[4]), count >= 0
    else { throw refusal("a persistent object that is no storage of torch") }
    guard let key = tree.text(parts[2]) ?? tree.integer(parts[2]).map(String.init),
      key.utf8.count <= PickleInterpreter.longestName
    else { throw refusal("has no key, or a long one") }
    self.type = TorchElementType(named: type.name)
    (self.key, self.count) = (key, count)
    guard parts.count > 5, case .tuple(let view) = tree[parts[5]], view.count == 3 else {
      self.view = nil
      return
    }
    guard let viewKey = tree.text(view[0]), let offset = tree.integer(view[1]),
      let viewCount = tree.integer(view[2]), offset >= 0, viewCount >= 0
    else { throw refusal("'\(key)' has a view that is none") }
    self.view = (viewKey, offset, viewCount)
  }

  /// The bytes that the elements take, or nil where that overflows.
  var byteCount: Int? { type.byteCount(elements: count) }
}

/// The type of a storage's or tensor's elements as torch names it.
enum TorchElementType: Hashable, Sendable {
  case known(ElementType)
  /// Integers with a scale and a zero point.
  case quantized(ElementType)
  /// A type that has no place here: its torch name and the width in bytes.
  case unknown(String, width: Int)

  private static let names: [String: ElementType] = [
    "Double": .float64, "Float": .float32, "Half": .float16, "BFloat16": .bfloat16,
    "Long": .int64, "Int": .int32, "Short": .int16, "Char": .int8, "Byte": .uint8, "Bool": .bool,
    "ComplexDouble": .complex128, "ComplexFloat": .complex64, "Untyped": .uint8, "Typed": .uint8,
    "float64": .float64, "float32": .float32, "float16": .float16, "bfloat16": .bfloat16,
    "double": .float64, "float": .float32, "half": .float16, "long": .int64, "int": .int32,
    "short": .int16,
    "int64": .int64, "int32": .int32, "int16": .int16, "int8": .int8, "uint8": .uint8,
    "uint16": .uint16, "uint32": .uint32, "uint64": .uint64, "bool": .bool,
    "complex64": .complex64, "complex128": .complex128, "cfloat": .complex64,
    "cdouble": .complex128, "float8_e5m2": .float8E5M2, "float8_e4m3fn": .float8E4M3,
    "float8_e8m0fnu": .float8E8M0, "float8_e4m3fnuz": .float8E4M3FNUZ,
    "float8_e5m2fnuz": .float8E5M2FNUZ, "float4_e2m1fn_x2": .float4,
  ]
  private static let quantizedNames: [String: ElementType] = [
    "QInt8": .int8, "QUInt8": .uint8, "QInt32": .int32, "qint8": .int8, "quint8": .uint8,
    "qint32": .int32,
  ]

  /// The type of a storage class such as `FloatStorage`, or of a dtype such as `float8_e5m2`.
  init(named name: String) {
    let plain = name.hasSuffix("Storage") ? String(name.dropLast("Storage".count)) : name
    if let type = TorchElementType.names[plain] {
      self = .known(type)
    } else if let type = TorchElementType.quantizedNames[plain] {
      self = .quantized(type)
    } else {
      let widths = ["complex32": 4, "ComplexHalf": 4, "chalf": 4]
      self = .unknown(plain, width: widths[plain] ?? 1)
    }
  }

  /// The type of the stored bits, if they have one here.
  var elementType: ElementType? {
    switch self {
    case .known(let type), .quantized(let type): type
    case .unknown: nil
    }
  }

  /// The bytes of a number of torch's elements; a pair of float4 counts as one.
  func byteCount(elements: Int) -> Int? {
    let width: Int
    switch self {
    case .known(.float4): width = 1
    case .known(let type), .quantized(let type): width = type.bitWidth / 8
    case .unknown(_, let bytes): width = bytes
    }
    let (bytes, overflow) = elements.multipliedReportingOverflow(by: width)
    return overflow ? nil : bytes
  }
}
