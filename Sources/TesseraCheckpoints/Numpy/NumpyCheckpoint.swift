package import TesseraCore

/// A numpy array (`.npy`), or an archive of them (`.npz`).
///
/// Names are those of the archive's members without `.npy`; a lone array is called `array`. Strings,
/// dates and structures are skipped and listed; pickled objects are refused.
package struct NumpyCheckpoint: TableCheckpoint {
  /// `npy` or `npz`.
  package let format: String
  /// Every array, and the strings of an archive whose comment is a JSON object of strings, as Tessera writes
  /// it; numpy itself stores nothing beside arrays.
  let table: TensorTable<StorageView>

  /// Opens a file.
  ///
  /// - Parameters:
  ///   - path: An `.npy` or `.npz` file.
  ///   - rawType: What elements without a type are: ml_dtypes saves bfloat16 as two raw bytes.
  /// - Throws: `TesseraError`.
  package init(path: String, rawAs rawType: ElementType? = nil) throws {
    try self.init(region: FileRegion(path: path), rawAs: rawType)
  }

  init(region: FileRegion, rawAs rawType: ElementType? = nil) throws {
    var listing = NumpyListing(file: region.name, rawType: rawType)
    if try ZipArchive.isArchive(region) {
      format = "npz"
      let archive = try ZipArchive(region: region)
      for member in archive.members { try listing.add(member, of: archive) }
      listing.table.found.attributes = JSONScanner.strings(in: archive.comment)
    } else {
      format = "npy"
      try listing.add(region)
    }
    table = listing.table.found
  }

  /// The strings of the comment.
  package var metadata: CheckpointMetadata { CheckpointMetadata(strings: attributes) }
}

/// Arrays as they are found.
private struct NumpyListing {
  var table: StoredTensorTable
  private let rawType: ElementType?

  private static let suffix = ".npy"

  init(file: String, rawType: ElementType?) {
    table = StoredTensorTable(file: file)
    self.rawType = rawType
  }

  /// Adds a whole file.
  mutating func add(_ region: FileRegion) throws {
    let prefix = try region.bytes(0..<min(region.length, NPYHeader.longestPrefix))
    let header = try NPYHeader(parsing: prefix, from: region.name, rawAs: rawType)
    try header.check(fileByteCount: region.length, from: region.name)
    try add(header, named: "array", in: .region(region), identity: "array", region.name)
  }

  /// Adds a member of an archive; only its header is read.
  mutating func add(_ member: ZipArchive.Member, of archive: ZipArchive) throws {
    guard !member.name.hasSuffix("/") else { return }
    guard member.name.hasSuffix(NumpyListing.suffix) else {
      table.found.remarks.append("'\(member.name)' is no array: skipped")
      return
    }
    let source = "\(archive.region.name): \(member.name)"
    let prefix = try archive.prefix(of: member, count: NPYHeader.longestPrefix)
    let name = String(member.name.dropLast(NumpyListing.suffix.count))
    do {
      let header = try NPYHeader(parsing: prefix, from: source, rawAs: rawType)
      try header.check(fileByteCount: member.size, from: source)
      try add(header, named: name, in: archive.place(of: member), identity: member.name, source)
    } catch let error as TesseraError where error.isWithoutMeaning {
      table.found.remarks.append("'\(name)' is skipped: \(error.cause)")
    } catch let error as TesseraError where error.isOfObjects || error.isOfOtherTypes {
      table.found.refusals.append(TensorRefusal(name, error.cause))
    }
  }

  private mutating func add(
    _ header: NPYHeader,
    named name: String,
    in bytes: StorageBytes,
    identity: String,
    _ source: String
  ) throws {
    let offset = header.dataOffset
    // The data start at any byte: the storage is the file from there on.
    let data: StorageBytes =
      switch bytes {
      case .region(let region): .region(region.part(offset..<region.length, name: region.name))
      case .memory(let bytes): .memory(Array(bytes.dropFirst(offset)))
      case .packed(let unpack):
        .packed {
          let region = try unpack()
          return region.part(min(offset, region.length)..<region.length, name: region.name)
        }
      }
    var strides = StoredTensor.rowMajorStrides(of: header.shape)
    if header.isFortranOrder {
      let reversed = Shape(header.shape.dimensions.reversed())
      strides = StoredTensor.rowMajorStrides(of: reversed).reversed()
    }
    guard
      var stored = StoredTensor(
        elementType: header.elementType,
        shape: header.shape,
        strides: strides,
        offset: 0,
        storageBytes: header.dataByteCount
      )
    else {
      throw TesseraError.malformed("\(header.shape) overflows", file: source, place: "npy shape")
    }
    stored.isBigEndian = header.isBigEndian
    table.add(stored, named: name, in: data, identity: identity)
  }
}
