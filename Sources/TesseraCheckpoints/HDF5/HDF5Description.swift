import CHDF5
import TesseraCore

/// What a dataset's header says, checked against the file; made inside `HDF5.perform`.
struct HDF5Description {
  /// Whether the dataset is a tensor that can be read.
  enum Verdict {
    case readable(Shape, HDF5Elements, HDF5Storage)
    case skipped(String)
    case refused(String)
    /// Reading would leave the file or fill the memory.
    case unsafe(String)
  }

  let verdict: Verdict

  /// A declared size above both is a bomb: few stored bytes that would fill a memory.
  private static let bomb = (bytes: 4 << 30, ratio: 1000)
  /// The chunk cache: room for a row of chunks, at most so much, or for one larger chunk.
  private static let cache = (least: 1 << 20, most: 32 << 20)
  /// Inflated chunks above this must not exceed the stored bytes by the bomb's ratio.
  private static let largeChunk = 256 << 20

  init(of dataset: hid_t, in region: FileRegion) {
    verdict = HDF5Description.verdict(on: dataset, in: region)
  }

  private static func verdict(on dataset: hid_t, in region: FileRegion) -> Verdict {
    guard let creation = HDF5Handle(H5Dget_create_plist(dataset), closedBy: H5Pclose) else {
      return .refused("its creation properties cannot be read")
    }
    // A virtual dataset opens other files as soon as its extent is asked for: the layout comes first.
    let layout = H5Pget_layout(creation.id)
    if layout == H5D_VIRTUAL { return .unsafe("a virtual dataset, assembled from other files") }
    if H5Pget_external_count(creation.id) != 0 {
      return .unsafe("external storage: its data lie in another file")
    }
    guard let space = HDF5Handle(H5Dget_space(dataset), closedBy: H5Sclose),
      let type = HDF5Handle(H5Dget_type(dataset), closedBy: H5Tclose)
    else { return .refused("its shape or type cannot be read") }
    if H5Sget_simple_extent_type(space.id) == H5S_NULL { return .skipped("empty: no shape") }
    let elements = HDF5Elements(of: type.id)
    switch elements {
    case .withoutMeaning(let reason): return .skipped("\(reason), no tensor")
    case .refused(let reason): return .refused(reason)
    case .numbers, .opaque: break
    }
    guard let shape = shape(of: space.id) else { return .refused("its shape overflows") }
    let width = H5Tget_size(type.id)
    guard let count = shape.elementCount, let bytes = count.checkedProduct(width) else {
      return .refused("its shape \(shape) overflows")
    }
    let stored = Int(clamping: H5Dget_storage_size(dataset))
    if bytes > bomb.bytes, bytes / bomb.ratio > stored {
      return .unsafe("declares \(bytes) bytes, stores \(stored): a shape bomb")
    }
    switch layout {
    case H5D_CONTIGUOUS:
      return contiguous(dataset, shape, elements, bytes: bytes, stored: stored, in: region)
    case H5D_COMPACT:
      return .readable(shape, elements, .library(cacheBytes: 0))
    case H5D_CHUNKED:
      if let missing = missingFilter(creation.id) { return .refused(missing) }
      guard stored <= region.length else {
        return .unsafe("its chunks claim \(stored) bytes of a file of \(region.length)")
      }
      let verdict = chunked(creation.id, shape, elements, width: width, stored: stored)
      guard case .readable(_, _, .chunks(let layout, let cacheBytes)) = verdict else {
        return stored > 0 ? withoutZstandard(creation.id, verdict) : verdict
      }
      if growsInside(space.id) {
        let library = Verdict.readable(shape, elements, .library(cacheBytes: cacheBytes))
        return layout.filters.contains(.zstandard)
          ? withoutZstandard(creation.id, library) : library
      }
      return verdict
    default: return .refused("a storage layout that libhdf5 does not know")
    }
  }

  private static func shape(of space: hid_t) -> Shape? {
    let rank = Int(H5Sget_simple_extent_ndims(space))
    guard rank >= 0 else { return nil }
    var extents = [hsize_t](repeating: 0, count: rank)
    guard unsafe rank == 0 || H5Sget_simple_extent_dims(space, &extents, nil) >= 0 else {
      return nil
    }
    let dimensions = extents.compactMap { Int(exactly: $0) }
    return dimensions.count == rank ? Shape(dimensions) : nil
  }

  /// Whether an axis other than the first is unlimited: libhdf5 1.10 then looks up single chunks under
  /// the wrong number (its extensible array has the axes in another order).
  private static func growsInside(_ space: hid_t) -> Bool {
    let rank = Int(H5Sget_simple_extent_ndims(space))
    var most = [hsize_t](repeating: 0, count: max(rank, 0))
    guard unsafe H5Sget_simple_extent_dims(space, nil, &most) == rank else { return true }
    return most.dropFirst().contains(hsize_t.max)
  }

  private static func contiguous(
    _ dataset: hid_t,
    _ shape: Shape,
    _ elements: HDF5Elements,
    bytes: Int,
    stored: Int,
    in region: FileRegion
  ) -> Verdict {
    // Never written: the library gives the fill value. (The offset does not tell: behind a user block
    // the sign for none overflows into an address.)
    guard stored > 0, bytes > 0 else {
      return .readable(shape, elements, .library(cacheBytes: 0))
    }
    let address = H5Dget_offset(dataset)
    guard let offset = Int(exactly: address), stored >= bytes, offset <= region.length,
      bytes <= region.length - offset
    else {
      return .refused(
        "its \(bytes) bytes at \(address) end after the file (\(region.length) bytes)"
      )
    }
    return .readable(
      shape,
      elements,
      elements.isPlain ? .run(offset: offset) : .library(cacheBytes: 0)
    )
  }

  private static func chunked(
    _ creation: hid_t,
    _ shape: Shape,
    _ elements: HDF5Elements,
    width: Int,
    stored: Int
  ) -> Verdict {
    var extents = [hsize_t](repeating: 0, count: shape.rank)
    guard unsafe H5Pget_chunk(creation, Int32(shape.rank), &extents) == Int32(shape.rank) else {
      return .refused("its chunks do not have the rank of its shape")
    }
    guard let chunk = extents.reduce(width, { $0?.checkedProduct(Int(clamping: $1)) }), chunk > 0
    else { return .refused("its chunk size overflows") }
    if chunk > largeChunk, chunk / bomb.ratio > stored {
      return .unsafe("chunks of \(chunk) bytes, \(stored) bytes stored: a chunk bomb")
    }
    // All the chunks that share the first coordinate: what a read from front to back comes back to.
    var band: Int? = chunk
    for (axis, extent) in extents.enumerated().dropFirst() {
      let across = (shape[axis] - 1) / Int(clamping: extent) + 1
      band = band?.checkedProduct(max(across, 1))
    }
    let wanted = min(max(band ?? cache.most, cache.least), cache.most)
    let cacheBytes = max(wanted, chunk)
    let dimensions = extents.map { Int(clamping: $0) }
    // Nothing stored: the library gives the fill value.
    guard stored > 0, !elements.isComplex, let filters = ownFilters(creation) else {
      return .readable(shape, elements, .library(cacheBytes: cacheBytes))
    }
    let layout = HDF5ChunkLayout(extents: dimensions, storedWidth: width, filters: filters)
    return .readable(shape, elements, .chunks(layout, cacheBytes: cacheBytes))
  }

  /// The filters of a dataset where we undo all of them ourselves, else nil.
  private static func ownFilters(_ creation: hid_t) -> [HDF5ChunkLayout.Filter]? {
    var options: UInt32 = 0
    // Set where chunks at the edge are stored without filters, which their masks do not tell.
    if unsafe H5Pget_chunk_opts(creation, &options) >= 0, options != 0 { return nil }
    var filters: [HDF5ChunkLayout.Filter] = []
    for index in 0..<max(H5Pget_nfilters(creation), 0) {
      var flags: UInt32 = 0
      var values: [UInt32] = [0]
      var valueCount = values.count
      var configuration: UInt32 = 0
      let filter = unsafe H5Pget_filter2(
        creation,
        UInt32(index),
        &flags,
        &valueCount,
        &values,
        0,
        nil,
        &configuration
      )
      switch filter {
      case H5Z_FILTER_DEFLATE: filters.append(.deflate)
      case H5Z_FILTER_SHUFFLE where valueCount > 0: filters.append(.shuffle(width: Int(values[0])))
      case H5Z_FILTER_FLETCHER32: filters.append(.fletcher32)
      case zstandard: filters.append(.zstandard)
      default: return nil
      }
    }
    return filters
  }

  /// A verdict on what the library itself must read, which it cannot where zstd packed the chunks.
  private static func withoutZstandard(_ creation: hid_t, _ verdict: Verdict) -> Verdict {
    guard case .readable = verdict, ownFilters(creation)?.contains(.zstandard) == true else {
      return verdict
    }
    return .refused("zstd-packed chunks of complex numbers, or that grow inside; save it with gzip")
  }

  /// The sentence about the first filter that this libhdf5 cannot undo, if there is one.
  private static func missingFilter(_ creation: hid_t) -> String? {
    for index in 0..<max(H5Pget_nfilters(creation), 0) {
      var flags: UInt32 = 0
      var valueCount = 0
      var configuration: UInt32 = 0
      var name = [CChar](repeating: 0, count: 64)
      let filter = unsafe H5Pget_filter2(
        creation,
        UInt32(index),
        &flags,
        &valueCount,
        nil,
        name.count,
        &name,
        &configuration
      )
      guard filter >= 0 else { return "filter \(index + 1) of its data cannot be read" }
      if filter == zstandard, ownFilters(creation) != nil { continue }
      var abilities: UInt32 = 0
      if H5Zfilter_avail(filter) > 0, unsafe H5Zget_filter_info(filter, &abilities) >= 0,
        abilities & UInt32(H5Z_FILTER_CONFIG_DECODE_ENABLED) != 0
      {
        continue
      }
      let stored = String(
        decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)),
        as: UTF8.self
      )
      let known = knownFilters[filter] ?? (stored.isEmpty ? "unknown" : stored)
      return "filter '\(known)' (number \(filter)) is not in this libhdf5: save it again with gzip "
        + "(h5py: compression='gzip'; or 'h5repack -f GZIP=4' where the filter's plug-in is installed)"
    }
    return nil
  }

  /// The registered number of the filter that stores a frame of Zstandard.
  private static let zstandard: H5Z_filter_t = 32015

  private static let knownFilters: [H5Z_filter_t: String] = [
    1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset",
    307: "bzip2", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp",
    32015: "zstd", 32026: "blosc2",
  ]
}

extension HDF5Elements {
  /// Whether an element is a pair of floats.
  var isComplex: Bool {
    switch self {
    case .numbers(let elementType, _): elementType == .complex64 || elementType == .complex128
    case .opaque, .withoutMeaning, .refused: false
    }
  }

  /// Whether the file's bytes are ours without conversion.
  var isPlain: Bool {
    switch self {
    case .numbers(_, let isPlain): isPlain
    case .opaque: true
    case .withoutMeaning, .refused: false
    }
  }
}

extension Int {
  /// The product, or nil where it overflows.
  func checkedProduct(_ other: Int) -> Int? {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? nil : product
  }
}
