package import TesseraCore

/// What a reader and a writer of MosaicML's shards share.
package enum MosaicShard {
  /// Types by the names of numpy.
  private static let names: [(ElementType, String)] = [
    (.bool, "uint8"), (.uint8, "uint8"), (.int8, "int8"), (.uint16, "uint16"), (.int16, "int16"),
    (.float16, "float16"), (.uint32, "uint32"), (.int32, "int32"), (.float32, "float32"),
    (.uint64, "uint64"), (.int64, "int64"), (.float64, "float64"),
  ]

  /// numpy's name of a type; nil for one that the format lacks.
  package static func name(of type: ElementType) -> String? {
    names.first { $0.0 == type }?.1
  }

  /// The encoding of a column, and the bytes of a cell where every sample has as many.
  package static func encoding(
    of column: DatasetColumn,
    as type: ElementType?
  ) -> (name: String, size: Int?)? {
    guard let type else { return ("str", nil) }
    guard let name = name(of: type) else { return nil }
    if column.shape.isEmpty { return (name, type.bitWidth / 8) }
    let extents = column.shape.compactMap(\.self)
    guard extents.count == column.shape.count, !extents.contains(0) else {
      return ("ndarray:\(name)", nil)
    }
    let size = Shape(extents).elementCount.flatMap { type.byteCount(elements: $0) }
    return ("ndarray:\(name):\(extents.map(String.init).joined(separator: ","))", size)
  }
}

/// `index.json` of a folder of shards, as far as it is needed to read them.
struct MosaicIndex: Decodable {
  struct File: Decodable {
    let basename: String
    let bytes: Int
  }

  struct Shard: Decodable {
    let samples: Int
    let columnNames: [String]
    let compression: String?
    let rawData: File
    let zipData: File?

    enum CodingKeys: String, CodingKey {
      case samples, compression
      case columnNames = "column_names"
      case rawData = "raw_data"
      case zipData = "zip_data"
    }
  }

  let shards: [Shard]
}

/// The samples of MosaicML's shards.
struct MosaicRows: DatasetRows {
  let table: DatasetTable
  private let folder: String
  private let record: DatasetLayout

  private static let key = "key"
  /// The most bytes of a shard that are unpacked: offsets have 32 bits.
  private static let largestShard = 1 << 32
  /// What a shard may unpack to however small it is: twice the usual size, for its rows are held beside it.
  private static let usualShard = 1 << 27

  init(_ dataset: TokenDataset, _ record: DatasetLayout) {
    table = record.table
    folder = dataset.path
    self.record = record
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    let path = try TokenDataset.file("index.json", in: folder)
    let index = try ManifestFile.read(MosaicIndex.self, at: path)
    let names = Set(index.shards.map { ($0.zipData ?? $0.rawData).basename })
    guard names.count == index.shards.count else {
      throw TesseraError.malformed("it lists a shard twice", file: path)
    }
    for shard in index.shards { try forEach(of: shard, body) }
  }

  /// One column of the shards in their order.
  private struct Column {
    /// The index in the table; nil for the key.
    let index: Int?
    let size: Int?
    let type: ElementType?
  }

  private func forEach(
    of shard: MosaicIndex.Shard,
    _ body: (DatasetRow) throws -> Void
  ) throws {
    let columns = try shard.columnNames.map { try column(named: $0) }
    guard columns.count == table.columns.count + 1, Set(columns.map(\.index)).count == columns.count
    else {
      throw TesseraError.malformed(
        "the shards have other columns than the key and those of the table",
        file: folder
      )
    }
    let file = try open(shard)
    guard try Int(file.integer(at: 0)) == shard.samples else {
      throw TesseraError.malformed(
        "not \(shard.samples) samples as the index says",
        file: file.name
      )
    }
    for sample in 0..<shard.samples {
      let start = try Int(file.integer(at: 4 + 4 * sample))
      let end = try Int(file.integer(at: 8 + 4 * sample))
      guard start <= end else {
        throw TesseraError.malformed("sample \(sample) ends before it starts", file: file.name)
      }
      try body(row(of: file.bytes(start..<end), columns, place: "\(file.name): sample \(sample)"))
    }
  }

  private func column(named name: String) throws -> Column {
    if name == Self.key { return Column(index: nil, size: nil, type: nil) }
    guard let index = table.columns.firstIndex(where: { record.storedName(of: $0.name) == name })
    else { throw TesseraError.malformed("the manifest knows no column '\(name)'", file: folder) }
    let column = table.columns[index]
    let type = column.type.elementType.map { DatasetFormat.mds.storedType(of: $0) }
    let size = MosaicShard.encoding(of: column, as: type)?.size
    return Column(index: index, size: size, type: type)
  }

  private func open(_ shard: MosaicIndex.Shard) throws -> MosaicFile {
    let named = shard.zipData ?? shard.rawData
    let path = try TokenDataset.file(named.basename, in: folder)
    guard shard.zipData != nil else { return .region(try FileRegion(path: path)) }
    let size = shard.rawData.bytes
    guard (0...Self.largestShard).contains(size) else {
      throw TesseraError.malformed("\(size) bytes are no shard", file: path)
    }
    let packed = try FileDigest.bytes(of: path, maximumBytes: Self.largestShard)
    guard size <= Self.usualShard || size / 100 <= packed.count else {
      throw TesseraError.malformed("\(packed.count) bytes claim to unpack to \(size)", file: path)
    }
    guard let content = Zstandard.decompress(packed, size: shard.rawData.bytes) else {
      throw TesseraError.malformed("its zstd frame is damaged", file: path)
    }
    return .memory(content, name: path)
  }

  private func row(of sample: [UInt8], _ columns: [Column], place: String) throws -> DatasetRow {
    let damaged = TesseraError.malformed("it is shorter than its columns", file: place)
    let sizes = columns.count { $0.size == nil } * 4
    guard sample.count >= sizes else { throw damaged }
    let empty = DatasetCell(shape: [], bytes: [])
    var row = DatasetRow(
      key: "",
      cells: [DatasetCell](repeating: empty, count: table.columns.count)
    )
    var (nextSize, next) = (0, sizes)
    for column in columns {
      var size = column.size ?? 0
      if column.size == nil {
        size = Int(
          DatasetCell(shape: [], bytes: Array(sample[nextSize..<nextSize + 4]))
            .elements(as: UInt32.self)[0]
        )
        nextSize += 4
      }
      guard size <= sample.count - next else { throw damaged }
      let bytes = sample[next..<next + size]
      next += size
      guard let index = column.index else {
        row.key = String(decoding: bytes, as: UTF8.self)
        continue
      }
      row.cells[index] = try cell(bytes, column, table.columns[index], place: place)
    }
    return row
  }

  private func cell(
    _ bytes: ArraySlice<UInt8>,
    _ stored: Column,
    _ column: DatasetColumn,
    place: String
  ) throws -> DatasetCell {
    guard let type = stored.type else { return DatasetCell(shape: [], bytes: Array(bytes)) }
    var shape = Shape(column.shape.compactMap(\.self))
    var data = bytes
    if stored.size == nil {
      // One byte: the number of axes, and the width of an extent as a power of two.
      guard let head = bytes.first, Int(head >> 2) == column.shape.count else {
        throw TesseraError.malformed("another number of axes", file: "\(place): \(column.name)")
      }
      let width = 1 << Int(head & 3)
      let end = bytes.startIndex + 1 + column.shape.count * width
      guard end <= bytes.endIndex else {
        throw TesseraError.malformed("it is cut short", file: "\(place): \(column.name)")
      }
      let extents = stride(from: bytes.startIndex + 1, to: end, by: width).map { start in
        bytes[start..<start + width].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      }
      guard extents.allSatisfy({ $0 <= 1 << 40 }) else {
        throw TesseraError.malformed("no extents: \(extents)", file: "\(place): \(column.name)")
      }
      shape = Shape(extents.map(Int.init))
      data = bytes[end...]
    }
    let values = try Array(data).converted(from: type, to: column, place: place)
    return try column.cell(values, shape: shape, place: "\(place): \(column.name)")
  }
}

/// A shard on disk, or one unpacked in memory.
private enum MosaicFile {
  case region(FileRegion)
  case memory([UInt8], name: String)

  var name: String {
    switch self {
    case .region(let region): region.name
    case .memory(_, let name): name
    }
  }

  func integer(at offset: Int) throws -> UInt32 {
    DatasetCell(shape: [], bytes: try bytes(offset..<offset + 4)).elements(as: UInt32.self)[0]
  }

  func bytes(_ range: Range<Int>) throws -> [UInt8] {
    let length =
      switch self {
      case .region(let region): region.length
      case .memory(let bytes, _): bytes.count
      }
    guard range.upperBound <= length else {
      throw TesseraError.malformed("the file ends before its data do", file: name)
    }
    switch self {
    case .region(let region): return try region.bytes(range)
    case .memory(let bytes, _): return Array(bytes[range])
    }
  }
}
