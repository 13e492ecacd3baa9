import CHDF5
import Tensors

/// What a dataset's header says, checked against the file; made inside `HDF5.perform`.
struct HDF5Description {
  /// Whether the dataset is a tensor that can be read.
  enum Verdict {
    case readable(Shape, HDF5Elements, HDF5Storage)
    case skipped(String)
    case refused(String)
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
    if layout == H5D_VIRTUAL { return .refused("a virtual dataset, assembled from other files") }
    if H5Pget_external_count(creation.id) != 0 {
      return .refused("external storage: its data lie in another file")
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
      return .refused("declares \(bytes) bytes, stores \(stored): a shape bomb")
    }
    switch layout {
    case H5D_CONTIGUOUS:
      return contiguous(dataset, shape, elements, bytes: bytes, stored: stored, in: region)
    case H5D_COMPACT:
      return .readable(shape, elements, .library(cacheBytes: 0))
    case H5D_CHUNKED:
      if let missing = missingFilter(creation.id) { return .refused(missing) }
      guard stored <= region.length else {
        return .refused("its chunks claim \(stored) bytes of a file of \(region.length)")
      }
      return chunked(creation.id, shape, elements, width: width, stored: stored)
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

  private static func contiguous(
    _ dataset: hid_t,
    _ shape: Shape,
    _ elements: HDF5Elements,
    bytes: Int,
    stored: Int,
    in region: FileRegion
  ) -> Verdict {
    let address = H5Dget_offset(dataset)
    // Never written: the library gives the fill value.
    guard address != UInt64.max, bytes > 0 else {
      return .readable(shape, elements, .library(cacheBytes: 0))
    }
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
      return .refused("chunks of \(chunk) bytes, \(stored) bytes stored: a chunk bomb")
    }
    // All the chunks that share the first coordinate: what a read from front to back comes back to.
    var band: Int? = chunk
    for (axis, extent) in extents.enumerated().dropFirst() {
      let across = (shape[axis] - 1) / Int(clamping: extent) + 1
      band = band?.checkedProduct(max(across, 1))
    }
    let wanted = min(max(band ?? cache.most, cache.least), cache.most)
    return .readable(shape, elements, .library(cacheBytes: max(wanted, chunk)))
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
      return "filter '\(known)' (number \(filter)) is not in this libhdf5; save it with gzip"
    }
    return nil
  }

  private static let knownFilters: [H5Z_filter_t: String] = [
    1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset",
    307: "bzip2", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp",
    32015: "zstd", 32026: "blosc2",
  ]
}

extension HDF5Elements {
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
