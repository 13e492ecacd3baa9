import TesseraCore

/// A checkpoint of Flax: nested maps of arrays in MessagePack.
///
/// Names are the keys with dots between. One pass finds where the arrays lie; data are read from
/// there.
package struct FlaxCheckpoint: TableCheckpoint {
  /// Always `flax-msgpack`.
  package let format = "flax-msgpack"
  /// Every array; numbers, truth values and short texts by their path.
  let table: TensorTable<FlaxPieces>

  /// Opens a file.
  ///
  /// - Throws: `TesseraError`.
  init(region: FileRegion) throws {
    var walk = FlaxWalk(region)
    try walk.readAll()
    table = walk.table
  }

  /// Whether a file starts as a map whose first key is a text.
  static func isFlax(_ start: [UInt8]) -> Bool {
    guard let first = start.first else { return false }
    let keyPlace =
      switch first {
      case 0x81...0x8F: 1
      case 0xDE: 3
      case 0xDF: 5
      default: Int.max
      }
    guard keyPlace < start.count else { return false }
    return (0xA0...0xBF).contains(start[keyPlace]) || (0xD9...0xDB).contains(start[keyPlace])
  }
}

/// The bytes of an array, in one piece or several.
struct FlaxPieces: TensorPlace {
  fileprivate let region: FileRegion
  fileprivate let pieces: [Range<Int>]
  /// Bytes of an element.
  fileprivate let width: Int

  func read(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
    var skipped = elements.lowerBound * width
    var done = 0
    for piece in pieces where done < buffer.count {
      guard skipped < piece.count else {
        skipped -= piece.count
        continue
      }
      let count = min(piece.count - skipped, buffer.count - done)
      let target = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
      try unsafe region.read(at: piece.lowerBound + skipped, into: target)
      done += count
      skipped = 0
    }
  }
}

/// One pass over the file.
private struct FlaxWalk {
  private(set) var table: TensorTable<FlaxPieces>

  private let region: FileRegion
  private var input: ByteInput
  private var path: [String] = []
  /// The bytes of the path, and of the names that were kept of arrays and attributes.
  private var pathBytes = 0
  private var keptBytes = (arrays: 0, attributes: 0)
  private var skippedValues = 0

  private static let depthLimit = 200
  private static let attributeLimit = 4096
  private static let tensorLimit = 1 << 20
  private static let noteLimit = 100
  /// The most bytes of one name.
  private static let longestName = 1 << 16
  /// The most bytes of all names: the key of a map stands in the name of all that is in it.
  private var mostNameBytes: Int { min(1 << 20 + 2 * region.length, 64 << 20) }

  init(_ region: FileRegion) {
    self.region = region
    table = TensorTable(files: [region.name])
    input = ByteInput(region: region, what: "msgpack")
  }

  private var name: String {
    if path.isEmpty { return "array" }
    return pathBytes <= FlaxWalk.longestName
      ? path.joined(separator: ".") : "a name of \(pathBytes) bytes"
  }

  private func refusal(_ cause: String) -> TesseraError {
    TesseraError.malformed(cause, file: region.name, place: name)
  }

  mutating func readAll() throws {
    try readValue()
    guard input.remaining == 0 else { throw input.refusal("data after the end") }
    if skippedValues > 0 {
      table.remarks.append("\(skippedValues) values that are no arrays are not shown")
    }
  }

  private mutating func readValue() throws {
    switch try input.messagePackToken() {
    case .map(let count): try readMap(count)
    case .array(let count): for index in 0..<count { try descend(String(index)) }
    case .custom(1, let range):
      let (type, shape, data) = try array(in: range)
      try add(type, shape, [data])
    case .custom(3, let range):
      // A numpy number, kept as an array without axes.
      let (type, shape, data) = try array(in: range)
      try add(type, shape, [data])
    case .custom(2, let range): try showComplex(range)
    case .custom(let type, _): skip("a value of the unknown kind \(type), skipped")
    case .bytes(let range): skip("\(range.count) bytes, no array: skipped")
    case .integer(let value): show(String(value))
    case .unsigned(let value): show(String(value))
    case .float(let value): show("\(value)")
    case .boolean(let value): show(value ? "true" : "false")
    case .text(let text) where text.utf8.count <= PickleText.limits.text: show(text)
    case .text, .longText, .none: skippedValues += 1
    }
  }

  private mutating func descend(_ component: String) throws {
    guard path.count < FlaxWalk.depthLimit else { throw refusal("values nest too deeply") }
    path.append(component)
    pathBytes += component.utf8.count + 1
    try readValue()
    path.removeLast()
    pathBytes -= component.utf8.count + 1
  }

  private mutating func readMap(_ count: Int) throws {
    var keys: Set<String> = []
    for index in 0..<count {
      let key = try key()
      guard keys.insert(key).inserted else { throw refusal("the key '\(key)' occurs twice") }
      if index == 0, key == FlaxChunks.marker { return try readChunks(count) }
      try descend(key)
    }
  }

  private mutating func key() throws -> String {
    switch try input.messagePackToken() {
    case .text(let key): return key
    case .integer(let key): return String(key)
    default: throw input.refusal("a key that is neither text nor integer")
    }
  }

  // MARK: Arrays

  private func input(of range: Range<Int>) -> ByteInput {
    ByteInput(region: region, from: range.lowerBound, to: range.upperBound, what: "msgpack")
  }

  /// The type, shape and place of an array: `[shape, type's name, bytes]`.
  private func array(in range: Range<Int>) throws -> (ElementType, [Int], Range<Int>) {
    var inner = input(of: range)
    guard case .array(3) = try inner.messagePackToken(),
      case .array(let rank) = try inner.messagePackToken(), rank <= 64
    else { throw refusal("an array that is no list of shape, type and bytes") }
    var shape: [Int] = []
    for _ in 0..<rank {
      guard case .integer(let extent) = try inner.messagePackToken(), extent >= 0 else {
        throw refusal("an extent that is no number from 0 on")
      }
      shape.append(extent)
    }
    guard case .text(let name) = try inner.messagePackToken() else {
      throw refusal("an array without the name of its type")
    }
    guard let type = ElementType(dtypeName: name) else {
      throw refusal("the type '\(name)' has no place here; cast it first")
    }
    guard case .bytes(let data) = try inner.messagePackToken(), inner.remaining == 0 else {
      throw refusal("an array without bytes, or with more than them")
    }
    guard let count = Shape(shape).elementCount, type.byteCount(elements: count) == data.count
    else {
      throw refusal("\(shape) of \(type.rawValue) is not \(data.count) bytes")
    }
    return (type, shape, data)
  }

  private mutating func add(_ type: ElementType, _ shape: [Int], _ data: [Range<Int>]) throws {
    keptBytes.arrays += pathBytes
    guard pathBytes <= FlaxWalk.longestName, keptBytes.arrays <= mostNameBytes
    else { throw refusal("the names of arrays are too long") }
    let name = self.name
    guard table.place(of: name) == nil else {
      throw refusal("two arrays have this name, once keys are joined by dots")
    }
    guard table.tensors.count < FlaxWalk.tensorLimit else { throw refusal("too many arrays") }
    table.add(
      TensorInfo(name: name, elementType: type, shape: Shape(shape)),
      at: FlaxPieces(region: region, pieces: data, width: type.bitWidth / 8)
    )
  }

  /// An array above 2^30 bytes: a flat piece after the other under `chunks`, its shape under `shape`.
  private mutating func readChunks(_ count: Int) throws {
    guard case .boolean(true) = try input.messagePackToken(), count == 3 else {
      throw refusal("an array in chunks that is none")
    }
    var shape: [Int] = []
    var type: ElementType?
    var data: [Range<Int>] = []
    for _ in 1..<count {
      let key = try key()
      guard case .map(let entries) = try input.messagePackToken() else {
        throw refusal("an array in chunks without a map of its '\(key)'")
      }
      for index in 0..<entries {
        guard try self.key() == String(index) else { throw refusal("chunks out of order") }
        switch (key, try input.messagePackToken()) {
        case ("shape", .integer(let extent)) where extent >= 0 && shape.count < 64:
          shape.append(extent)
        case ("chunks", .custom(1, let range)):
          let chunk = try array(in: range)
          guard chunk.0 == type ?? chunk.0 else { throw refusal("chunks of two types") }
          type = chunk.0
          data.append(chunk.2)
        default: throw refusal("an array in chunks that is none")
        }
      }
    }
    guard let type, let elements = Shape(shape).elementCount,
      type.byteCount(elements: elements) == data.reduce(0, { $0 + $1.count })
    else { throw refusal("\(shape) is not what its chunks hold") }
    try add(type, shape, data)
  }

  // MARK: Other values

  private mutating func showComplex(_ range: Range<Int>) throws {
    var inner = input(of: range)
    guard case .array(2) = try inner.messagePackToken(),
      case .float(let real) = try inner.messagePackToken(),
      case .float(let imaginary) = try inner.messagePackToken()
    else { throw refusal("a complex number that is none") }
    show("[\(real), \(imaginary)]")
  }

  private mutating func skip(_ words: String) {
    if table.remarks.count < FlaxWalk.noteLimit {
      table.remarks.append("\(name): \(words)")
    } else {
      skippedValues += 1
    }
  }

  private mutating func show(_ text: String) {
    if table.attributes.count < FlaxWalk.attributeLimit, pathBytes <= FlaxWalk.longestName,
      keptBytes.attributes + pathBytes <= mostNameBytes
    {
      keptBytes.attributes += pathBytes
      table.attributes[name] = text
    } else {
      skippedValues += 1
    }
  }
}

/// What flax calls things.
private enum FlaxChunks {
  static let marker = "__msgpack_chunked_array__"
}

extension ElementType {
  /// The type that numpy with ml_dtypes, jax and flax call by a name such as `bfloat16`.
  init?(dtypeName name: String) {
    guard let type = Self.dtypes[name] else { return nil }
    self = type
  }

  private static let dtypes: [String: ElementType] = [
    "bool": .bool, "int8": .int8, "int16": .int16, "int32": .int32, "int64": .int64,
    "uint8": .uint8, "uint16": .uint16, "uint32": .uint32, "uint64": .uint64,
    "float16": .float16, "bfloat16": .bfloat16, "float32": .float32, "float64": .float64,
    "complex64": .complex64, "complex128": .complex128, "float8_e4m3fn": .float8E4M3,
    "float8_e5m2": .float8E5M2, "float8_e8m0fnu": .float8E8M0,
    "float8_e4m3fnuz": .float8E4M3FNUZ, "float8_e5m2fnuz": .float8E5M2FNUZ,
  ]
}
