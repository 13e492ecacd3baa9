import CHDF5
import CZlib
import TesseraCore

/// How a dataset is cut into chunks, where we decode them ourselves.
///
/// libhdf5's own inflate grows its output until the stream ends; here a chunk never exceeds its
/// declared size.
struct HDF5ChunkLayout: Sendable, Hashable {
  /// A step of the filter pipeline.
  enum Filter: Sendable, Hashable {
    case deflate
    case shuffle(width: Int)
    case fletcher32
    /// A frame of Zstandard, which libhdf5 has only as a plug-in.
    case zstandard
  }

  /// The extents of a chunk; those at the edges are stored whole.
  let extents: [Int]
  /// The bytes of a stored element.
  let storedWidth: Int
  /// The filters in the order in which they were applied.
  let filters: [Filter]

  /// The number of elements of a chunk.
  var count: Int { extents.reduce(1, *) }
}

/// Decoded chunks of the dataset that is read at present; inside `HDF5.perform`.
struct HDF5ChunkCache {
  private let dataset: HDF5Dataset
  private let layout: HDF5ChunkLayout
  private let identifier: hid_t
  private let elementType: ElementType
  private let file: String
  /// How many chunks the grid has along each axis.
  private let grid: [Int]
  private let fill: [UInt8]
  private let capacity: Int
  /// Chunks in a ring, where the oldest gives its memory to the next: fresh pages cost more than
  /// the copy.
  private var slots: [(chunk: Int, bytes: [UInt8])] = []
  private var slotOfChunk: [Int: Int] = [:]
  private var next = 0
  private var raw: [UInt8] = []
  private var scratch: [UInt8] = []

  init(
    _ dataset: HDF5Dataset,
    _ layout: HDF5ChunkLayout,
    cacheBytes: Int,
    identifier: hid_t,
    elementType: ElementType,
    file: String
  ) throws(TesseraError) {
    (self.dataset, self.layout, self.identifier) = (dataset, layout, identifier)
    (self.elementType, self.file) = (elementType, file)
    grid = zip(dataset.shape.dimensions, layout.extents).map { ($0 - 1) / $1 + 1 }
    let width = max(elementType.bitWidth / 8, layout.storedWidth)
    capacity = max(1, cacheBytes / max(1, layout.count * width))
    var fill = [UInt8](repeating: 0, count: width)
    try HDF5ChunkCache.readFill(&fill, identifier, elementType, file: file, place: dataset.path)
    self.fill = Array(fill.prefix(elementType.bitWidth / 8))
  }

  private func failure(to attempt: String) -> TesseraError {
    .afterFailure(to: attempt, file: file, place: dataset.path)
  }

  private func damaged(_ cause: String, chunk: [Int]) -> TesseraError {
    TesseraError.malformed("chunk \(chunk): \(cause)", file: file, place: dataset.path)
  }

  /// What chunks hold that were never written: the dataset's fill value, or zeros.
  private static func readFill(
    _ fill: inout [UInt8],
    _ identifier: hid_t,
    _ elementType: ElementType,
    file: String,
    place: String
  ) throws(TesseraError) {
    guard let creation = HDF5Handle(H5Dget_create_plist(identifier), closedBy: H5Pclose),
      let stored = HDF5Handle(H5Dget_type(identifier), closedBy: H5Tclose),
      let memory = HDF5Handle.memoryType(for: elementType, stored: stored.id)
    else { throw .afterFailure(to: "find the type", file: file, place: place) }
    var status = H5D_FILL_VALUE_UNDEFINED
    guard unsafe H5Pfill_value_defined(creation.id, &status) >= 0 else {
      throw .afterFailure(to: "find the fill value", file: file, place: place)
    }
    guard status == H5D_FILL_VALUE_USER_DEFINED else { return }
    guard unsafe H5Pget_fill_value(creation.id, memory.id, &fill) >= 0 else {
      throw .afterFailure(to: "read the fill value", file: file, place: place)
    }
  }

  /// Copies a box of the dataset, row-major, to the start of a buffer.
  mutating func copy(
    _ slab: Hyperslab,
    to target: UnsafeMutableRawBufferPointer
  ) throws(TesseraError) {
    let first = zip(slab.start, layout.extents).map { $0 / $1 }
    let last = zip(zip(slab.start, slab.extent), layout.extents).map { ($0.0 + $0.1 - 1) / $1 }
    var chunk = first
    while true {
      let slot = try slotHolding(chunk)
      let overlap = slab.overlap(withChunk: chunk, of: layout.extents)
      let width = elementType.bitWidth / 8
      unsafe slots[slot].bytes.withUnsafeBytes { source in
        overlap.forEachRun { from, to, count in
          let run = unsafe UnsafeRawBufferPointer(
            rebasing: source[from * width..<(from + count) * width]
          )
          unsafe UnsafeMutableRawBufferPointer(rebasing: target[(to * width)...])
            .copyMemory(from: run)
        }
      }
      // The next chunk in row-major order, or the end.
      var axis = chunk.count - 1
      while axis >= 0, chunk[axis] == last[axis] {
        chunk[axis] = first[axis]
        axis -= 1
      }
      if axis < 0 { return }
      chunk[axis] += 1
    }
  }

  /// The ring's slot with a chunk, decoded now if it is not there.
  private mutating func slotHolding(_ chunk: [Int]) throws(TesseraError) -> Int {
    let index = zip(chunk, grid).reduce(0) { $0 * $1.1 + $1.0 }
    if let slot = slotOfChunk[index] { return slot }
    if slots.count < capacity {
      slots.append((-1, []))
      next = slots.count - 1
    } else {
      next = (next + 1) % capacity
    }
    let slot = next
    slotOfChunk[slots[slot].chunk] = nil
    slots[slot].chunk = -1
    try decode(chunk, into: slot)
    slots[slot].chunk = index
    slotOfChunk[index] = slot
    return slot
  }

  private mutating func decode(_ chunk: [Int], into slot: Int) throws(TesseraError) {
    let size = layout.count * max(elementType.bitWidth / 8, layout.storedWidth)
    if slots[slot].bytes.count != size { slots[slot].bytes = [UInt8](repeating: 0, count: size) }
    guard let mask = try readRaw(chunk) else {
      for index in 0..<size { slots[slot].bytes[index] = fill[index % fill.count] }
      return
    }
    let stored = layout.count * layout.storedWidth
    for (number, filter) in layout.filters.enumerated().reversed()
    where mask & (1 << UInt32(number)) == 0 {
      try undo(filter, chunk: chunk, stored: stored)
    }
    guard raw.count == stored else {
      throw damaged("\(raw.count) bytes instead of \(stored)", chunk: chunk)
    }
    unsafe slots[slot].bytes.withUnsafeMutableBytes { target in
      unsafe target.copyBytes(from: raw)
    }
    if !dataset.elements.isPlain { try convert(slot) }
  }

  /// Reads a stored chunk into `raw`; returns the mask of the filters it skipped, or nil where the
  /// chunk was never written.
  private mutating func readRaw(_ chunk: [Int]) throws(TesseraError) -> UInt32? {
    let start = zip(chunk, layout.extents).map { hsize_t($0 * $1) }
    var size: hsize_t = 0
    guard unsafe H5Dget_chunk_storage_size(identifier, start, &size) >= 0 else {
      // Also the answer for a chunk that was never written; only the slow call tells which it is.
      let failure = failure(to: "find a chunk")
      var (mask, address) = (UInt32(0), haddr_t(0))
      let status = unsafe H5Dget_chunk_info_by_coord(identifier, start, &mask, &address, &size)
      guard status >= 0, size == 0 else { throw failure }
      return nil
    }
    if size == 0 { return nil }
    // A filter makes incompressible data longer by far less.
    let stored = layout.count * layout.storedWidth
    guard size <= hsize_t(stored + stored / 8 + 65_536) else {
      throw damaged("\(size) stored bytes for \(stored)", chunk: chunk)
    }
    if raw.count != Int(size) { raw = [UInt8](repeating: 0, count: Int(size)) }
    var mask: UInt32 = 0
    guard unsafe H5Dread_chunk(identifier, hid_t(H5P_DEFAULT), start, &mask, &raw) >= 0 else {
      throw failure(to: "read a chunk")
    }
    return mask
  }

  /// Undoes one filter on `raw`.
  private mutating func undo(
    _ filter: HDF5ChunkLayout.Filter,
    chunk: [Int],
    stored: Int
  ) throws(TesseraError) {
    switch filter {
    case .deflate:
      // A checksum may lie inside.
      let most = stored + 4
      if scratch.count != most { scratch = [UInt8](repeating: 0, count: most) }
      var produced = uLong(most)
      guard unsafe uncompress(&scratch, &produced, raw, uLong(raw.count)) == Z_OK else {
        throw damaged("its gzip data are damaged or longer than the chunk", chunk: chunk)
      }
      swap(&raw, &scratch)
      raw.removeLast(most - Int(produced))
    case .zstandard:
      // A checksum may lie inside.
      guard
        let content = Zstandard.decompress(raw, size: stored)
          ?? Zstandard.decompress(raw, size: stored + 4)
      else { throw damaged("its zstd data are damaged or of another size", chunk: chunk) }
      raw = content
    case .shuffle(let width):
      if scratch.count != raw.count { scratch = [UInt8](repeating: 0, count: raw.count) }
      unsafe chdf5_unshuffle(&scratch, raw, width, raw.count)
      swap(&raw, &scratch)
    case .fletcher32:
      guard raw.count >= 4 else { throw damaged("its checksum is missing", chunk: chunk) }
      let given = raw.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      raw.removeLast(4)
      let sum = unsafe chdf5_fletcher32(raw, raw.count)
      // Before 1.6.3 the library swapped the bytes of each half.
      let swapped = (sum & 0x00FF_00FF) << 8 | (sum >> 8) & 0x00FF_00FF
      guard given == sum || given == swapped else {
        throw damaged("its fletcher32 checksum is wrong", chunk: chunk)
      }
    }
  }

  /// Converts a slot's elements in place to ours.
  private mutating func convert(_ slot: Int) throws(TesseraError) {
    guard let stored = HDF5Handle(H5Dget_type(identifier), closedBy: H5Tclose),
      let memory = HDF5Handle.memoryType(for: elementType, stored: stored.id)
    else { throw failure(to: "find the type") }
    let status = unsafe H5Tconvert(
      stored.id,
      memory.id,
      layout.count,
      &slots[slot].bytes,
      nil,
      hid_t(H5P_DEFAULT)
    )
    guard status >= 0 else { throw failure(to: "convert the elements") }
  }
}

/// The part that a box and a chunk share, as runs of the innermost axis.
struct ChunkOverlap {
  /// The first element in the chunk and in the box, and the extent of the shared part.
  let inChunk: [Int]
  let inBox: [Int]
  let extent: [Int]
  /// The distance of neighbours along each axis, in elements.
  let chunkStrides: [Int]
  let boxStrides: [Int]

  /// Calls with the offsets in chunk and box and the length of each run, in elements.
  func forEachRun(_ body: (_ chunk: Int, _ box: Int, _ count: Int) -> Void) {
    visit(axis: 0, chunk: 0, box: 0, body)
  }

  private func visit(axis: Int, chunk: Int, box: Int, _ body: (Int, Int, Int) -> Void) {
    let chunk = chunk + inChunk[axis] * chunkStrides[axis]
    let box = box + inBox[axis] * boxStrides[axis]
    guard axis < extent.count - 1 else { return body(chunk, box, extent[axis]) }
    for row in 0..<extent[axis] {
      visit(
        axis: axis + 1,
        chunk: chunk + row * chunkStrides[axis],
        box: box + row * boxStrides[axis],
        body
      )
    }
  }
}

extension Hyperslab {
  /// What the box shares with a chunk of the grid; they must meet.
  func overlap(withChunk chunk: [Int], of extents: [Int]) -> ChunkOverlap {
    var inChunk: [Int] = []
    var inBox: [Int] = []
    var shared: [Int] = []
    for axis in start.indices {
      let corner = chunk[axis] * extents[axis]
      let from = max(corner, start[axis])
      let to = min(corner + extents[axis], start[axis] + extent[axis])
      inChunk.append(from - corner)
      inBox.append(from - start[axis])
      shared.append(to - from)
    }
    return ChunkOverlap(
      inChunk: inChunk,
      inBox: inBox,
      extent: shared,
      chunkStrides: Hyperslab.strides(of: extents),
      boxStrides: Hyperslab.strides(of: extent)
    )
  }

  private static func strides(of extents: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: extents.count)
    for axis in extents.indices.dropLast().reversed() {
      strides[axis] = strides[axis + 1] * extents[axis + 1]
    }
    return strides
  }
}
