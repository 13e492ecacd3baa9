import TesseraCheckpoints
import TesseraCore

/// Rows of logits in a .npy file or a checkpoint, read a block at a time.
struct LogitsFile {
  /// `float16`, `bfloat16` or `float32`.
  let elementType: ElementType
  /// All axes but the last.
  let rows: Int
  /// The last axis.
  let columns: Int
  /// The bytes of a row.
  let rowSize: Int
  private let source: Source
  private let path: String

  private enum Source {
    case array(ArrayFile)
    case checkpoint(any CheckpointReader, TensorInfo)
  }

  init(path: String, tensor name: String?, isBFloat16: Bool) throws {
    self.path = path
    let (type, shape): (ElementType, Shape)
    if path.hasSuffix(".npy") {
      guard name == nil else {
        throw Self.problem(path, "a .npy file holds one array; leave out --tensor")
      }
      let file = try ArrayFile(path: path)
      source = .array(file)
      (type, shape) = (file.header.elementType, file.header.shape)
    } else {
      let reader = try Checkpoint.open(path, opaqueAs: isBFloat16 ? .bfloat16 : nil)
      let tensor = try Self.tensor(name, of: reader, path: path)
      source = .checkpoint(reader, tensor)
      (type, shape) = (tensor.elementType, tensor.shape)
    }
    elementType = isBFloat16 && type == .uint16 ? .bfloat16 : type
    guard [.float16, .bfloat16, .float32].contains(elementType) else {
      let hint = type == .uint16 ? "; say --bfloat16 if that is what they are" : "; store float32"
      throw Self.problem(path, "logits are F16, BF16 or F32, and these are \(type.rawValue)\(hint)")
    }
    guard shape.rank >= 2, let columns = shape.dimensions.last, columns > 0,
      columns <= 1 << 26, let count = shape.elementCount
    else {
      throw Self.problem(
        path,
        "logits of shape \(shape), and [rows, n] with n up to 2^26 was expected"
      )
    }
    self.columns = columns
    rows = count / columns
    rowSize = columns * elementType.bitWidth / 8
  }

  /// The stored bytes of some rows.
  func bytes(of range: Range<Int>) throws -> [UInt8] {
    let elements = range.lowerBound * columns..<range.upperBound * columns
    switch source {
    case .array(let file): return try file.read(elements).bytes
    case .checkpoint(let reader, let tensor):
      var bytes = [UInt8](repeating: 0, count: range.count * rowSize)
      try unsafe bytes.withUnsafeMutableBytes { buffer in
        try unsafe reader.read(elements, of: tensor, into: buffer)
      }
      return bytes
    }
  }

  private static func tensor(
    _ name: String?,
    of reader: any CheckpointReader,
    path: String
  ) throws -> TensorInfo {
    if let name {
      guard let tensor = reader.tensors.first(where: { $0.name == name }) else {
        throw problem(path, "holds no tensor '\(name)'")
      }
      return tensor
    }
    let candidates = reader.tensors.filter { $0.shape.rank >= 2 }
    guard candidates.count == 1 else {
      let names = candidates.prefix(4).map(\.name).joined(separator: ", ")
      throw problem(
        path,
        "\(candidates.count) tensors with rows (\(names)); name one with --tensor"
      )
    }
    return candidates[0]
  }

  private static func problem(_ path: String, _ reason: String) -> TesseraError {
    TesseraError.mismatch(reason).in(path)
  }
}
