import CHDF5
import Synchronization
import TesseraCore

/// An open HDF5 file: found, checked and read under the library's lock, closed with the last holder.
final class HDF5File: Sendable {
  let region: FileRegion
  let catalog: HDF5Catalog
  /// The library's number of the open file; only inside `HDF5.perform`.
  let identifier: hid_t
  /// The dataset read last, kept open because its chunk cache holds what the next range needs.
  private let current = Mutex<OpenDataset?>(nil)

  private struct OpenDataset {
    let path: String
    let dataset: hid_t
    var chunks: HDF5ChunkCache?
  }

  /// Opens the file that fills a region and walks it; no data are read.
  init(region: FileRegion) throws {
    guard try HDF5File.hasSignature(region) else {
      let cause = try FailedDownload.words(for: region) ?? "no HDF5 signature, so no HDF5 file"
      throw TesseraError.malformed(cause, file: region.name)
    }
    let (identifier, catalog) = try HDF5.perform(on: region.name) { () throws(TesseraError) in
      let identifier = region.openedAsHDF5()
      guard identifier >= 0 else {
        throw TesseraError.afterFailure(to: "open it as HDF5", file: region.name)
      }
      do throws(TesseraError) {
        return (identifier, try HDF5Catalog(of: identifier, in: region))
      } catch {
        H5Fclose(identifier)
        throw error
      }
    }
    (self.region, self.identifier, self.catalog) = (region, identifier, catalog)
  }

  /// Whether the signature stands at the start or, after a user block, at 512, 1024, and so on.
  private static func hasSignature(_ region: FileRegion) throws(TesseraError) -> Bool {
    let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
    var offset = 0
    while offset <= region.length - signature.count {
      if try region.bytes(offset..<offset + signature.count) == signature { return true }
      offset = offset == 0 ? 512 : offset * 2
    }
    return false
  }

  deinit {
    let identifier = identifier
    // Closes the open dataset too: see CHDF5.h.
    _ = HDF5.perform(on: region.name) { H5Fclose(identifier) }
  }

  /// Reads elements of a dataset as little-endian bytes; the buffer has the size of the range.
  func read(
    _ elements: Range<Int>,
    of dataset: HDF5Dataset,
    as elementType: ElementType,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    if elements.isEmpty { return }
    switch dataset.storage {
    case .run(let offset):
      let start = offset + elements.lowerBound * elementType.bitWidth / 8
      try unsafe region.read(at: start, into: buffer)
    case .chunks(let layout, let cacheBytes):
      try HDF5.perform(on: region.name) { () throws(TesseraError) in
        let identifier = try open(dataset, cacheBytes: 0)
        let makeCache = { () throws(TesseraError) in
          try HDF5ChunkCache(
            dataset,
            layout,
            cacheBytes: cacheBytes,
            identifier: identifier,
            elementType: elementType,
            file: self.region.name
          )
        }
        let slabs = Hyperslab.covering(elements, of: dataset.shape)
        let width = elementType.bitWidth / 8
        try unsafe read(slabs, width: width, makeCache: makeCache, into: buffer)
      }
    case .library(let cacheBytes):
      try HDF5.perform(on: region.name) { () throws(TesseraError) in
        let identifier = try open(dataset, cacheBytes: cacheBytes)
        let slabs = Hyperslab.covering(elements, of: dataset.shape)
        try unsafe read(slabs, of: identifier, dataset, as: elementType, into: buffer)
      }
    }
  }

  private func read(
    _ slabs: [Hyperslab],
    width: Int,
    makeCache: () throws(TesseraError) -> HDF5ChunkCache,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(TesseraError) {
    try current.withLock { current throws(TesseraError) in
      var chunks: HDF5ChunkCache
      if let kept = current?.chunks { chunks = kept } else { chunks = try makeCache() }
      // Moved out while it changes: a second reference would copy the chunks.
      current?.chunks = nil
      defer { current?.chunks = chunks }
      var position = 0
      for slab in slabs {
        try unsafe chunks.copy(
          slab,
          to: UnsafeMutableRawBufferPointer(rebasing: buffer[position...])
        )
        position += slab.count * width
      }
    }
  }

  private func failure(to attempt: String, _ dataset: HDF5Dataset) -> TesseraError {
    .afterFailure(to: attempt, file: region.name, place: dataset.path)
  }

  private func open(_ dataset: HDF5Dataset, cacheBytes: Int) throws(TesseraError) -> hid_t {
    try current.withLock { current throws(TesseraError) in
      if let current, current.path == dataset.path { return current.dataset }
      if let previous = current { H5Dclose(previous.dataset) }
      current = nil
      // A prime, far above the number of chunks that the cache holds in usual files.
      let opened = unsafe chdf5_open_dataset(identifier, dataset.path, cacheBytes, 12_421)
      guard opened >= 0 else { throw failure(to: "open the dataset", dataset) }
      current = OpenDataset(path: dataset.path, dataset: opened)
      return opened
    }
  }

  private func read(
    _ slabs: [Hyperslab],
    of identifier: hid_t,
    _ dataset: HDF5Dataset,
    as elementType: ElementType,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws(TesseraError) {
    guard let stored = HDF5Handle(H5Dget_type(identifier), closedBy: H5Tclose),
      let memory = HDF5Handle.memoryType(for: elementType, stored: stored.id),
      let space = HDF5Handle(H5Dget_space(identifier), closedBy: H5Sclose)
    else { throw failure(to: "find the type", dataset) }
    let width = elementType.bitWidth / 8
    var position = 0
    for slab in slabs {
      guard slab.select(in: space.id),
        let target = HDF5Handle(slab.makeMemorySpace(), closedBy: H5Sclose)
      else { throw failure(to: "select a part", dataset) }
      let bytes = slab.count * width
      precondition(bytes <= buffer.count - position, "the slabs are the range")
      let start = unsafe buffer.baseAddress?.advanced(by: position)
      let status = unsafe H5Dread(
        identifier,
        memory.id,
        target.id,
        space.id,
        hid_t(H5P_DEFAULT),
        start
      )
      guard status >= 0 else { throw failure(to: "read the data", dataset) }
      position += bytes
    }
  }
}

/// A box of a dataset.
struct Hyperslab: Hashable {
  let start: [Int]
  let extent: [Int]

  /// The number of elements.
  var count: Int { extent.reduce(1, *) }

  /// The boxes that follow one another row-major and hold a range of elements: at most two per axis
  /// and one in the middle.
  static func covering(_ elements: Range<Int>, of shape: Shape) -> [Hyperslab] {
    cover(elements, shape.dimensions[...])
  }

  private static func cover(_ elements: Range<Int>, _ axes: ArraySlice<Int>) -> [Hyperslab] {
    guard let rows = axes.first else { return [Hyperslab(start: [], extent: [])] }
    if elements.isEmpty { return [] }
    let inner = axes.dropFirst()
    let width = inner.reduce(1, *)
    let (first, head) = elements.lowerBound.quotientAndRemainder(dividingBy: width)
    let (last, tail) = elements.upperBound.quotientAndRemainder(dividingBy: width)
    precondition(last <= rows, "a range lies inside the shape")
    func inside(_ row: Int, _ range: Range<Int>) -> [Hyperslab] {
      cover(range, inner).map { Hyperslab(start: [row] + $0.start, extent: [1] + $0.extent) }
    }
    if first == last { return inside(first, head..<tail) }
    var slabs: [Hyperslab] = []
    var row = first
    if head > 0 {
      slabs += inside(first, head..<width)
      row += 1
    }
    if row < last {
      let zeros = [Int](repeating: 0, count: inner.count)
      slabs.append(Hyperslab(start: [row] + zeros, extent: [last - row] + inner))
    }
    if tail > 0 { slabs += inside(last, 0..<tail) }
    return slabs
  }

  /// Selects the box in a dataset's space; false where the library refuses.
  func select(in space: hid_t) -> Bool {
    if start.isEmpty { return H5Sselect_all(space) >= 0 }
    let start = start.map { hsize_t($0) }
    let extent = extent.map { hsize_t($0) }
    return unsafe H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nil, extent, nil) >= 0
  }

  /// A space in memory for the box's elements, one after another; negative on failure.
  func makeMemorySpace() -> hid_t {
    let count = [hsize_t(count)]
    return unsafe H5Screate_simple(1, count, nil)
  }
}
