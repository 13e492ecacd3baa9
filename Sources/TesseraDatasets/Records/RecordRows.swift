import TesseraCore

/// The samples of TFRecord files.
struct TFRecordRows: DatasetRows {
  var table: DatasetTable { examples.table }
  private let examples: ExampleRows
  private let files: [String]

  /// The longest record that is read.
  private static let longestRecord = 1 << 30

  init(_ dataset: TokenDataset, _ record: DatasetLayout) throws {
    examples = ExampleRows(record)
    files = try dataset.manifest.shards.map { try dataset.file($0.name) }
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    for path in files {
      var file = try FileStream(path: path)
      while file.rest > 0 {
        let head = try file.next(8)
        let check = try file.integer(UInt32.self)
        let length = DatasetCell(shape: [], bytes: head).elements(as: UInt64.self)[0]
        guard RecordChecksum.masked(head) == check, length <= UInt64(Self.longestRecord) else {
          throw file.damage("a record whose length is damaged")
        }
        let data = try file.next(Int(length))
        guard try RecordChecksum.masked(data) == file.integer(UInt32.self) else {
          throw file.damage("a record whose checksum is wrong")
        }
        try body(examples.row(of: data, place: "\(path): byte \(file.position)"))
      }
    }
  }
}

/// What a reader and a writer of ArrayRecord share: Riegeli's blocks and chunks.
package enum RiegeliLayout {
  /// The size of a block; each starts with a header.
  package static let block = 1 << 16
  /// The size of a block's header: hash, distance back to the chunk, distance on to its end.
  package static let blockHeader = 24
  /// The size of a chunk's header: hash, data size, data hash, kind and number of records, decoded
  /// size.
  package static let chunkHeader = 40
  /// The number that marks ArrayRecord's last chunk.
  package static let magic: UInt64 = 0x7193_0E70_4FDA_E05E
}

/// The samples of ArrayRecord files whose chunks are not compressed.
struct ArrayRecordRows: DatasetRows {
  var table: DatasetTable { examples.table }
  private let examples: ExampleRows
  private let shards: [(path: String, samples: Int)]

  private static let largestChunk = 1 << 30

  init(_ dataset: TokenDataset, _ record: DatasetLayout) throws {
    examples = ExampleRows(record)
    shards = try dataset.manifest.shards.map { (try dataset.file($0.name), $0.samples) }
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    for shard in shards {
      var file = RiegeliStream(file: try FileStream(path: shard.path))
      guard try file.next()?.kind == UInt8(ascii: "s") else {
        throw file.damage("no signature of Riegeli's")
      }
      for _ in 0..<shard.samples {
        guard let chunk = try file.next(), chunk.kind == UInt8(ascii: "r"), chunk.records == 1,
          let record = Self.record(of: chunk.data)
        else { throw file.damage("no chunk of one uncompressed record") }
        try body(examples.row(of: record, place: file.place))
      }
    }
  }

  /// The record of a chunk that has one: no compression, the size of the sizes, the size, the record.
  private static func record(of data: [UInt8]) -> [UInt8]? {
    guard data.first == 0 else { return nil }
    var rest = data.dropFirst()
    guard let sizes = rest.popVarint(), let size = rest.popVarint(),
      size <= UInt64(data.count), sizes >= 1, sizes <= 10
    else { return nil }
    let start = data.count - Int(size)
    return start >= 3 ? Array(data[start...]) : nil
  }

  /// Chunks of a file, the blocks' headers left out.
  private struct RiegeliStream {
    var file: FileStream

    var place: String { "\(file.name): byte \(file.position)" }

    func damage(_ reason: String) -> TesseraError { file.damage(reason) }

    mutating func next() throws -> (kind: UInt8, records: Int, data: [UInt8])? {
      guard file.rest > 0 else { return nil }
      let header = try take(RiegeliLayout.chunkHeader)
      let numbers = DatasetCell(shape: [], bytes: header).elements(as: UInt64.self)
      guard RecordChecksum.riegeli(Array(header[8...])) == numbers[0],
        numbers[1] <= UInt64(ArrayRecordRows.largestChunk)
      else { throw file.damage("a chunk whose header is damaged") }
      let data = try take(Int(numbers[1]))
      guard RecordChecksum.riegeli(data) == numbers[2] else {
        throw file.damage("a chunk whose data are damaged")
      }
      return (UInt8(truncatingIfNeeded: numbers[3]), Int(numbers[3] >> 8), data)
    }

    private mutating func take(_ count: Int) throws -> [UInt8] {
      guard count <= file.rest else { throw file.damage("the file ends before its data do") }
      var bytes: [UInt8] = []
      bytes.reserveCapacity(count)
      while bytes.count < count {
        let offset = file.position % RiegeliLayout.block
        if offset == 0 { try file.skip(RiegeliLayout.blockHeader) }
        let room = RiegeliLayout.block - file.position % RiegeliLayout.block
        bytes += try file.next(min(room, count - bytes.count))
      }
      return bytes
    }
  }
}
