import TesseraCore

/// A GGUF file, versions 2 and 3, little-endian.
///
/// Quantized tensors are shown and read as float32: any range of elements, a few blocks at a time.
/// Shapes are outermost first, the other way round than in the file.
package struct GGUFCheckpoint: TableCheckpoint {
  /// Always `gguf`.
  package let format = "gguf"
  /// Every tensor that can be read; the metadata: numbers, texts, short arrays; of long arrays the length.
  let table: TensorTable<GGUFBlockRun>
  /// Every key with its value as it lies in the file, but those that earlier conversions added.
  package let metadata: CheckpointMetadata

  /// Opens a file and checks its whole header.
  ///
  /// - Throws: `TesseraError`.
  init(region: FileRegion) throws {
    let header = try GGUFHeader(region)
    var found = TensorTable<GGUFBlockRun>(files: [region.name])
    found.attributes = header.metadata.attributes
    metadata = CheckpointMetadata(
      strings: found.attributes.filter { $0.key.hasPrefix("tessera.") },
      entries: header.metadata.entries.filter { !$0.key.hasPrefix("tessera.") }
    )
    var counts: [String: Int] = [:]
    for tensor in header.tensors {
      guard let type = tensor.type else {
        let cause = "type \(tensor.typeName) is not read"
        found.refusals.append(TensorRefusal(tensor.name, cause))
        continue
      }
      let start = header.dataStart + tensor.data.offset
      found.add(
        TensorInfo(name: tensor.name, elementType: type.elementType, shape: tensor.shape),
        at: GGUFBlockRun(region: region, type: type, start: start)
      )
      if type.isQuantized { counts[type.name, default: 0] += 1 }
    }
    let split = header.metadata.split
    if split.count > 1 {
      let cause =
        "file \(split.number + 1) of \(split.count) of a split model: join them with gguf-split"
      found.refusals.append(TensorRefusal("", cause))
    }
    let quantized = counts.sorted { $0.key < $1.key }.map { name, count in
      "\(count) tensors are stored as \(name) and read as F32"
    }
    found.remarks = ["GGUF version \(header.version)"] + quantized + header.notes
    table = found
  }
}

/// The blocks of one tensor, one after the other.
struct GGUFBlockRun: TensorPlace {
  fileprivate let region: FileRegion
  fileprivate let type: GGUFType
  /// Where the data start in the file.
  fileprivate let start: Int

  func read(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
    let (width, size) = type.block
    guard type.isQuantized else {
      return try unsafe region.read(at: start + elements.lowerBound * size, into: buffer)
    }
    let step = 1 << 14
    var first = elements.lowerBound
    while first < elements.upperBound {
      let block = first / width
      let end = min(elements.upperBound, (block + step / width) * width)
      let lastBlock = (end + width - 1) / width
      let place = start + block * size
      let bytes = try region.bytes(place..<place + (lastBlock - block) * size)
      let floats = GGUFBlocks(type: type, bytes: bytes).floats()
      let wanted = floats[first - block * width..<end - block * width]
      unsafe wanted.withUnsafeBytes { source in
        let target = (first - elements.lowerBound) * 4
        unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[target..<target + source.count])
          .copyMemory(from: source)
      }
      first = end
    }
  }
}

/// The header of a GGUF file, checked against the file.
struct GGUFHeader {
  struct Tensor {
    let name: String
    let type: GGUFType?
    let typeName: String
    let shape: Shape
    /// Where the data start, from the start of all data, and how many bytes they are.
    let data: (offset: Int, count: Int)
  }

  let version: Int
  let metadata: GGUFMetadata
  private(set) var tensors: [Tensor] = []
  /// Where the data start in the file.
  private(set) var dataStart = 0
  private(set) var notes: [String] = []

  /// The bytes of the smallest description of a tensor: its name, rank, type and offset.
  private static let smallestTensor = 8 + 1 + 4 + 4 + 8
  private static let longestName = 63

  init(_ region: FileRegion) throws {
    var input = ByteInput(region: region, what: "GGUF")
    guard try input.bytes(4) == Array("GGUF".utf8) else { throw input.refusal("no magic number") }
    version = try input.number(width: 4)
    guard version == 2 || version == 3 else {
      let isSwapped = version & 0xFFFF == 0
      let cause = isSwapped ? "a big-endian file" : "version \(version), not 2 or 3"
      throw input.refusal("\(cause); convert it with gguf's scripts first", at: 4)
    }
    let (tensorCount, entryCount) = (try input.number(width: 8), try input.number(width: 8))
    guard tensorCount <= input.remaining / GGUFHeader.smallestTensor else {
      throw input.refusal("\(tensorCount) tensors do not fit the file", at: 8)
    }
    metadata = try GGUFMetadata(&input, count: entryCount)
    var names: Set<String> = []
    for _ in 0..<tensorCount {
      let place = input.position
      let tensor = try GGUFHeader.tensor(&input)
      guard names.insert(tensor.name).inserted else {
        throw input.refusal("the tensor '\(tensor.name)' occurs twice", at: place)
      }
      tensors.append(tensor)
    }
    let (padded, overflow) = input.position.addingReportingOverflow(metadata.alignment - 1)
    guard !overflow else { throw input.refusal("overflows") }
    dataStart = padded / metadata.alignment * metadata.alignment
    try check(in: region)
  }

  private static func tensor(_ input: inout ByteInput) throws -> Tensor {
    let place = input.position
    let name = try GGUFMetadata.text(&input, limit: longestName, "a tensor's name")
    guard !name.isEmpty else { throw input.refusal("a tensor without a name", at: place) }
    func refusal(_ cause: String) -> TesseraError {
      TesseraError.malformed(cause, file: input.region.name, place: name)
    }
    let rank = try input.number(width: 4)
    guard rank <= 4 else { throw refusal("\(rank) axes, and ggml has at most 4") }
    var extents: [Int] = []
    for _ in 0..<rank {
      let extent = try input.bits(width: 8)
      guard let number = Int(exactly: extent) else { throw refusal("an extent of \(extent)") }
      extents.append(number)
    }
    let number = try input.number(width: 4)
    let type = GGUFType(rawValue: number)
    guard
      let block = type.map({ ($0.block.elements, $0.block.bytes, $0.name) })
        ?? GGUFType.unreadable[number].map({ ($0.elements, $0.bytes, $0.name) })
    else { throw refusal("the unknown type \(number)") }
    let row = extents.first ?? 1
    guard row % block.0 == 0 else {
      throw refusal("rows of \(row) elements are no whole blocks of \(block.2)")
    }
    let shape = Shape(extents.reversed())
    guard let count = shape.elementCount,
      case let (bytes, overflow) = (count / block.0).multipliedReportingOverflow(by: block.1),
      !overflow, count <= Int.max / 4
    else { throw refusal("\(shape) overflows") }
    let offset = try input.bits(width: 8)
    guard let start = Int(exactly: offset) else { throw refusal("starts at byte \(offset)") }
    return Tensor(
      name: name,
      type: type,
      typeName: block.2,
      shape: shape,
      data: (start, bytes)
    )
  }

  /// Each tensor starts where the one before ends, at the next multiple of the alignment.
  private mutating func check(in region: FileRegion) throws {
    let available = max(0, region.length - dataStart)
    var end = 0
    for tensor in tensors {
      func refusal(_ cause: String) -> TesseraError {
        TesseraError.malformed(cause, file: region.name, place: tensor.name)
      }
      let start = (end + metadata.alignment - 1) / metadata.alignment * metadata.alignment
      guard tensor.data.offset == start else {
        throw refusal("starts at data byte \(tensor.data.offset), and \(start) is where it must")
      }
      guard start <= available, tensor.data.count <= available - start else {
        let cause = "ends at data byte \(start) + \(tensor.data.count); the file has \(available)"
        throw refusal(cause + ": it is cut short")
      }
      end = start + tensor.data.count
    }
    let trailing =
      available - (end + metadata.alignment - 1) / metadata.alignment * metadata.alignment
    if trailing > 0 { notes.append("\(trailing) bytes after the last tensor belong to none") }
  }
}
