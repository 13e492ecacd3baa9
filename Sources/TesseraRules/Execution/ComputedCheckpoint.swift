package import TesseraCheckpoints
import TesseraCore

/// A tensor whose values are computed when they are asked for, some rows at a time.
///
/// A row is what one index of the first axis holds; a scalar is one row.
package struct ComputedTensor: Sendable {
  /// Name, type and shape; the type is F16, BF16 or F32.
  package let info: TensorInfo
  /// The values of some rows in float32, row-major.
  package let rows: @Sendable (Range<Int>) throws -> [Float]

  package init(info: TensorInfo, rows: @escaping @Sendable (Range<Int>) throws -> [Float]) {
    (self.info, self.rows) = (info, rows)
  }

  /// The number of rows and the elements in each.
  package var extents: (rows: Int, elements: Int) {
    let rows = info.shape.rank == 0 ? 1 : info.shape[0]
    let count = info.shape.elementCount ?? 0
    return (rows, rows == 0 ? 0 : count / rows)
  }
}

/// A checkpoint of which some tensors are computed from those of another, on demand.
///
/// Everything that reads a checkpoint reads this one the same way, so that merged, folded and baked
/// weights stream through a conversion in bounded memory: a few rows at a time.
package struct ComputedCheckpoint: CheckpointView {
  /// What the tensors are computed from.
  package let base: any CheckpointReader
  /// The tensors of the base that are kept, computed ones in their places, added ones at the end.
  package let tensors: [TensorInfo]
  /// The base's attributes, and what was done.
  package let attributes: [String: String]
  /// The base's notes, and what was done, a sentence each.
  package let notes: [String]

  /// The base's files, and those of what was merged into it.
  package let files: [String]
  /// The base's metadata, and what was done.
  package var metadata: CheckpointMetadata {
    var metadata = base.metadata
    metadata.strings.merge(attributes.filter { $0.key.hasPrefix("tessera.") }) { $1 }
    return metadata
  }

  private let computed: [String: ComputedTensor]

  /// Creates a view.
  ///
  /// - Parameters:
  ///   - base: What is read.
  ///   - computed: The tensors that take the place of the base's of the same name, or are added.
  ///   - removed: Names of the base that are left out.
  ///   - files: What else was read, added to the base's.
  ///   - attributes: Added to the base's.
  ///   - notes: Added to the base's.
  /// - Throws: `TesseraError` where a computed tensor has a type that float32 values are not rounded to, or
  ///   where the base holds codes that are numbers only with their scales.
  package init(
    _ base: any CheckpointReader,
    computing computed: [ComputedTensor],
    removing removed: Set<String> = [],
    files: [String] = [],
    attributes: [String: String] = [:],
    notes: [String] = []
  ) throws {
    try QuantizedWeights(in: base).checkComputing()
    if let other = computed.first(where: { !$0.info.elementType.isMergeable }) {
      let cause =
        "\(other.info.elementType.rawValue) weights are not computed with; bring the file to float32 "
        + "first (convert --dtype f32)"
      throw TesseraError.mismatch(cause, place: "'\(other.info.name)'")
    }
    self.base = base
    let table = Dictionary(computed.map { ($0.info.name, $0) }) { _, last in last }
    let kept = base.tensors.filter { !removed.contains($0.name) }
    let present = Set(kept.map(\.name))
    // A computed tensor has bytes of its own, and so has one that shared the storage of another's.
    tensors =
      kept.map { tensor in
        if let computed = table[tensor.name] { return computed.info }
        guard let origin = tensor.aliasOf, table[origin] != nil || !present.contains(origin)
        else { return tensor }
        return TensorInfo(
          name: tensor.name,
          elementType: tensor.elementType,
          shape: tensor.shape
        )
      } + computed.map(\.info).filter { !present.contains($0.name) }
    self.computed = table
    self.files = base.files + files
    self.attributes = base.attributes.merging(attributes) { _, new in new }
    self.notes = base.notes + notes
  }

  /// The computed tensor, or the base's.
  package func place(of tensor: TensorInfo) -> (any TensorPlace)? {
    guard let own = computed[tensor.name] else { return ReaderTensor(tensor, of: base) }
    return own
  }
}

extension ComputedTensor: TensorPlace {
  /// Elements that are computed at once: 4 MiB of float32.
  private static let block = 1 << 20

  /// Reads elements, rounded to the tensor's type.
  package func read(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
    let size = extents.elements
    let block = max(1, ComputedTensor.block / max(size, 1))
    let width = info.elementType.bitWidth / 8
    var row = elements.lowerBound / size
    while row * size < elements.upperBound {
      let rows = row..<min(row + block, (elements.upperBound + size - 1) / size)
      let wanted = elements.clamped(to: rows.lowerBound * size..<rows.upperBound * size)
      let values = try self.rows(rows)
      let first = wanted.lowerBound - rows.lowerBound * size
      let piece = values[first..<first + wanted.count]
      let bytes = try rounded(piece)
      let offset = (wanted.lowerBound - elements.lowerBound) * width
      unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<offset + bytes.count])
        .copyBytes(from: bytes)
      row = rows.upperBound
    }
  }

  /// The bytes of values rounded to the tensor's type, half to even.
  private func rounded(_ values: ArraySlice<Float>) throws -> [UInt8] {
    switch info.elementType {
    case .float16, .bfloat16:
      let isHalf = info.elementType == .float16
      var bits: [UInt16] = []
      bits.reserveCapacity(values.count)
      for value in values {
        let rounded =
          isHalf ? FloatBits.half(value.bitPattern) : FloatBits.bfloat16(value.bitPattern)
        let wide = isHalf ? Float(half: rounded) : Float(bfloat16: rounded)
        guard wide.isFinite || !value.isFinite else {
          let cause = "the value \(value) does not fit \(info.elementType.rawValue)"
          throw TesseraError.limit(cause, place: "'\(info.name)'")
        }
        bits.append(rounded)
      }
      return Tensor(shape: [bits.count], elements: bits).bytes
    default: return Tensor(shape: [values.count], floats: Array(values)).bytes
    }
  }
}

extension CheckpointReader {
  /// A tensor with all of its values multiplied.
  package func scaled(_ tensor: TensorInfo, by factor: Double) -> ComputedTensor {
    let info = TensorInfo(name: tensor.name, elementType: tensor.elementType, shape: tensor.shape)
    return ComputedTensor(info: info) { rows in
      try floats(of: tensor, rows: rows).map { value in
        let scaled = Float(Double(value) * factor)
        guard scaled.isFinite || !value.isFinite else {
          let cause = "the value \(value) times \(factor) does not fit F32"
          throw TesseraError.limit(cause, place: "'\(tensor.name)'")
        }
        return scaled
      }
    }
  }

  /// Some rows of a tensor as float32, row-major.
  package func floats(of tensor: TensorInfo, rows: Range<Int>) throws -> [Float] {
    let count = tensor.shape.elementCount ?? 0
    let total = tensor.shape.rank == 0 ? 1 : tensor.shape[0]
    let size = total == 0 ? 0 : count / total
    let elements = rows.lowerBound * size..<rows.upperBound * size
    let bytes = try self.bytes(of: tensor, elements: elements)
    return try Tensor(
      elementType: tensor.elementType,
      shape: [elements.count],
      bytes: bytes
    ).floats()
  }

  /// A whole tensor as float32, row-major.
  package func floats(of tensor: TensorInfo) throws -> [Float] {
    try floats(of: tensor, rows: 0..<(tensor.shape.rank == 0 ? 1 : tensor.shape[0]))
  }

  /// The bytes of some elements.
  private func bytes(of tensor: TensorInfo, elements: Range<Int>) throws -> [UInt8] {
    guard let size = tensor.elementType.byteCount(elements: elements.count) else { return [] }
    var bytes = [UInt8](repeating: 0, count: size)
    try unsafe bytes.withUnsafeMutableBytes { buffer in
      try unsafe read(elements, of: tensor, into: buffer)
    }
    return bytes
  }
}
