import TesseraCore

/// MosaicML's shards: `shard.00000.mds` (or `.mds.zstd`) and an `index.json` written as they end.
struct MosaicWriter: StoredWriter {
  let output: DatasetOutput
  private let columns: [Column]
  private let configuration: [UInt8]
  private let index: StagedFile
  private var samples: [UInt8] = []
  private var sizes: [UInt32] = []
  private var tokens = 0
  private var shards = 0

  /// One column of the shards; the key has no column of the table.
  private struct Column {
    let name: String
    let stored: StoredTable.Column?
    let encoding: String
    let size: Int?
  }

  init(_ output: DatasetOutput) throws {
    self.output = output
    let (stored, stage) = (output.stored, output.stage)
    var columns = [Column(name: "key", stored: nil, encoding: "str", size: nil)]
    for column in stored.columns {
      guard
        let encoding = MosaicShard.encoding(of: column.column, as: column.type.elementType)
      else {
        throw stored.refusal(
          "no encoding of \(column.elementType.rawValue) ('\(column.name)'); leave it out by --columns"
        )
      }
      columns.append(
        Column(name: column.name, stored: column, encoding: encoding.name, size: encoding.size)
      )
    }
    self.columns = columns.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    configuration = Self.configuration(of: self.columns, output.options)
    index = try stage.create("index.json")
    try index.write(Array("{\"version\": 2, \"shards\": [".utf8))
  }

  /// What every shard says of itself, without its closing brace.
  private static func configuration(
    of columns: [Column],
    _ options: DatasetExportSettings
  ) -> [UInt8] {
    func list(_ values: [String]) -> String { "[\(values.joined(separator: ", "))]" }
    let compression = options.compression.map { "\"zstd:\($0)\"" } ?? "null"
    let encodings = columns.map { JSONText.quotedASCII($0.encoding) }
    let names = columns.map { JSONText.quotedASCII($0.name) }
    let sizes = columns.map { $0.size.map(String.init) ?? "null" }
    return Array(
      """
      {"column_encodings": \(list(encodings)), "column_names": \(list(names)), \
      "column_sizes": \(list(sizes)), "compression": \(compression), "format": "mds", \
      "hashes": ["sha1"], "size_limit": \(options.shardBytes), "version": 2
      """.utf8
    )
  }

  mutating func append(_ row: DatasetRow) throws {
    var head: [UInt8] = []
    var body: [UInt8] = []
    for column in columns {
      let start = body.count
      if let stored = column.stored {
        try append(stored, of: row, isFixed: column.size != nil, to: &body)
      } else {
        body += row.key.utf8
      }
      if column.size == nil { head.appendLittleEndian(UInt32(body.count - start)) }
    }
    let size = head.count + body.count
    // The number of samples, the offsets and what the shard says of itself come before.
    let overhead = 4 * (sizes.count + 3) + configuration.count + 1
    guard size + configuration.count < 1 << 31 else {
      throw TesseraError.mismatch(
        "a sample of \(size) bytes",
        place: "\(DatasetFormat.mds.rawValue): \(row.key)"
      )
    }
    let isFull =
      samples.count + size + overhead > options.shardBytes
      || sizes.count == options.shardSamples
    if isFull, !sizes.isEmpty { try closeShard() }
    samples += head
    samples += body
    sizes.append(UInt32(size))
    tokens += stored.tokens(of: row)
  }

  private func append(
    _ column: StoredTable.Column,
    of row: DatasetRow,
    isFixed: Bool,
    to body: inout [UInt8]
  ) throws {
    let cell = row.cells[column.index]
    if column.type.elementType != nil, !isFixed {
      // The number of axes and the width of the extents, the narrowest that holds them.
      let largest = cell.shape.dimensions.max() ?? 0
      let power = largest <= 0xFF ? 0 : largest <= 0xFFFF ? 1 : largest <= 0xFFFF_FFFF ? 2 : 3
      body.append(UInt8(cell.shape.rank << 2 | power))
      for extent in cell.shape.dimensions {
        for byte in 0..<1 << power {
          body.append(UInt8(truncatingIfNeeded: UInt64(extent) >> (8 * UInt64(byte))))
        }
      }
    }
    body += try stored.bytes(of: row, column)
  }

  private mutating func closeShard() throws {
    guard !sizes.isEmpty else { return }
    let start = 4 * (sizes.count + 2) + configuration.count + 1
    var raw: [UInt8] = []
    raw.reserveCapacity(start + (options.compression == nil ? 0 : samples.count))
    raw.appendLittleEndian(UInt32(sizes.count))
    var offset = UInt32(start)
    raw.appendLittleEndian(offset)
    for size in sizes {
      offset += size
      raw.appendLittleEndian(offset)
    }
    raw += configuration
    raw.append(UInt8(ascii: "}"))
    let name = "shard.\(shardDigits(shards)).mds"
    let rawFile = try stage.create(name, digests: [.sha1])
    try rawFile.write(raw)
    try rawFile.write(samples)
    let rawData = try rawFile.finish()
    var data = rawData
    if let level = options.compression {
      try rawFile.discard()
      let packed = try stage.create("\(name).zstd", digests: [.sha1])
      raw += samples
      try packed.write(Zstandard.compress(raw, level: level))
      data = try packed.finish()
    }
    try writeEntry(rawData, zip: options.compression == nil ? nil : data)
    stage.add(data, samples: sizes.count, tokens: tokens)
    samples.removeAll(keepingCapacity: true)
    sizes.removeAll(keepingCapacity: true)
    tokens = 0
    shards += 1
  }

  private func writeEntry(_ raw: FinishedFile, zip: FinishedFile?) throws {
    func entry(_ file: FinishedFile) -> String {
      "{\"basename\": \"\(file.name)\", \"bytes\": \(file.bytes), "
        + "\"hashes\": {\"sha1\": \"\(file.sha1 ?? "")\"}}"
    }
    var text = shards == 0 ? "" : ", "
    text += String(decoding: configuration, as: UTF8.self)
    text += ", \"samples\": \(sizes.count), \"raw_data\": \(entry(raw)), "
    text += "\"zip_data\": \(zip.map(entry) ?? "null")}"
    try index.write(Array(text.utf8))
  }

  mutating func finish() throws {
    try closeShard()
    try index.write(Array("]}\n".utf8))
    stage.add(try index.finish())
  }
}
