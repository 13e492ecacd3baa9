import TesseraCore

/// Files of records of `tf.train.Example`: `train-00000-of-00002.tfrecord` or `.arrayrecord`.
struct RecordWriter: StoredWriter {
  let output: DatasetOutput
  private let encoder: ExampleEncoder
  private var file: RecordFile?
  private var samples = 0
  private var tokens = 0

  init(_ output: DatasetOutput) throws {
    self.output = output
    let stored = output.stored
    encoder = try ExampleEncoder(stored)
  }

  mutating func append(_ row: DatasetRow) throws {
    var file = try self.file ?? makeFile()
    try file.append(try encoder.message(of: row))
    self.file = file
    samples += 1
    tokens += stored.tokens(of: row)
    if samples == options.shardSamples { try closeFile() }
  }

  private func makeFile() throws -> RecordFile {
    let file = try stage.create(
      "train-\(shardDigits(stage.shards.count)).\(stored.format.rawValue)"
    )
    return stored.format == .arrayrecord ? .array(try ArrayRecordFile(file)) : .plain(file)
  }

  private mutating func closeFile() throws {
    guard let file else { return }
    self.file = nil
    stage.add(try file.finish(), samples: samples, tokens: tokens)
    (samples, tokens) = (0, 0)
  }

  mutating func finish() throws {
    try closeFile()
    let suffix = stored.format.rawValue
    try stage.rename { index, count in
      "train-\(shardDigits(index))-of-\(shardDigits(count)).\(suffix)"
    }
  }
}

/// A file of records in either container.
private enum RecordFile {
  case plain(StagedFile)
  case array(ArrayRecordFile)

  mutating func append(_ record: [UInt8]) throws {
    switch self {
    case .plain(let file):
      var head: [UInt8] = []
      head.appendLittleEndian(UInt64(record.count))
      try file.write(head)
      try file.write(RecordChecksum.masked(head))
      try file.write(record)
      try file.write(RecordChecksum.masked(record))
    case .array(var file):
      try file.append(record)
      self = .array(file)
    }
  }

  func finish() throws -> FinishedFile {
    switch self {
    case .plain(let file): try file.finish()
    case .array(let file): try file.finish()
    }
  }
}

/// An ArrayRecord file: a chunk a record (`group_size:1`), not compressed, then a chunk that says where
/// each is, and a last one that says where that is.
struct ArrayRecordFile {
  private let file: StagedFile
  /// Where each record's chunk starts, and its size.
  private var chunks: [(offset: Int, size: Int)] = []

  /// The options as ArrayRecord's own writer would note them.
  private static let options =
    "group_size:1,transpose:false,pad_to_block_boundary:false,uncompressed,max_parallelism:1"

  init(_ file: StagedFile) throws {
    self.file = file
    try write(kind: "s", records: 0, data: [], decodedSize: 0)
  }

  mutating func append(_ record: [UInt8]) throws {
    chunks.append((chunkStart, record.count))
    try writeRecords([record])
  }

  func finish() throws -> FinishedFile {
    let footer = chunkStart
    try writeRecords(footerRecords())
    try padToBlock()
    var postscript: [UInt8] = [0x08]
    postscript.appendVarint(UInt64(footer))
    postscript.append(0x10)
    postscript.appendVarint(RiegeliLayout.magic)
    try writeRecords([postscript, postscript, postscript])
    try padToBlock()
    return try file.finish()
  }

  /// Version, number of chunks and of records, options; then a message a chunk.
  private func footerRecords() -> [[UInt8]] {
    var metadata: [UInt8] = [0x08, 1, 0x10]
    metadata.appendVarint(UInt64(chunks.count))
    metadata.append(0x18)
    metadata.appendVarint(UInt64(chunks.count))
    metadata.append(0x22)
    metadata.appendVarint(UInt64(Self.options.utf8.count))
    metadata += Self.options.utf8
    var first: [UInt8] = [0x0A]
    first.appendVarint(UInt64(metadata.count))
    return [first + metadata]
      + chunks.map { chunk in
        var message: [UInt8] = [0x08]
        message.appendVarint(UInt64(chunk.offset))
        message.append(0x10)
        message.appendVarint(UInt64(chunk.size))
        message += [0x18, 1]
        return message
      }
  }

  /// Where the next chunk starts; a block's header belongs to the chunk that it precedes.
  private var chunkStart: Int { file.position }

  private func writeRecords(_ records: [[UInt8]]) throws {
    var sizes: [UInt8] = []
    for record in records { sizes.appendVarint(UInt64(record.count)) }
    let decoded = records.reduce(0) { $0 + $1.count }
    var data: [UInt8] = [0]
    data.reserveCapacity(decoded + sizes.count + 12)
    data.appendVarint(UInt64(sizes.count))
    data += sizes
    for record in records { data += record }
    try write(kind: "r", records: records.count, data: data, decodedSize: decoded)
  }

  /// Fills the block with a chunk of nothing.
  private func padToBlock() throws {
    let used = file.position % RiegeliLayout.block
    guard used > 0 else { return }
    var length = RiegeliLayout.block - used
    if length < RiegeliLayout.chunkHeader {
      length += RiegeliLayout.block - RiegeliLayout.blockHeader
    }
    let zeros = [UInt8](repeating: 0, count: length - RiegeliLayout.chunkHeader)
    try write(kind: "p", records: 0, data: zeros, decodedSize: 0)
  }

  private func write(
    kind: Unicode.Scalar,
    records: Int,
    data: [UInt8],
    decodedSize: Int
  ) throws {
    var fields: [UInt8] = []
    fields.appendLittleEndian(UInt64(data.count))
    fields.appendLittleEndian(RecordChecksum.riegeli(data))
    fields.appendLittleEndian(UInt64(records) << 8 | UInt64(kind.value))
    fields.appendLittleEndian(UInt64(decodedSize))
    var header: [UInt8] = []
    header.appendLittleEndian(RecordChecksum.riegeli(fields))
    header += fields
    let start = file.position
    let end = Self.end(of: header.count + data.count, from: start)
    try write(header, chunk: start..<end)
    try write(data, chunk: start..<end)
  }

  /// Writes bytes of a chunk, with a header at the start of each block.
  private func write(_ bytes: [UInt8], chunk: Range<Int>) throws {
    var done = 0
    while done < bytes.count {
      let position = file.position
      if position % RiegeliLayout.block == 0 {
        var distances: [UInt8] = []
        distances.appendLittleEndian(UInt64(position - chunk.lowerBound))
        distances.appendLittleEndian(UInt64(chunk.upperBound - position))
        try file.write(RecordChecksum.riegeli(distances))
        try file.write(distances)
      }
      let room = RiegeliLayout.block - file.position % RiegeliLayout.block
      let count = min(room, bytes.count - done)
      try file.write(count == bytes.count ? bytes : Array(bytes[done..<done + count]))
      done += count
    }
  }

  /// Where bytes end that are written from a position on, the blocks' headers between them.
  private static func end(of count: Int, from position: Int) -> Int {
    var (rest, end) = (count, position)
    while rest > 0 {
      if end % RiegeliLayout.block == 0 { end += RiegeliLayout.blockHeader }
      let room = RiegeliLayout.block - end % RiegeliLayout.block
      let part = min(room, rest)
      end += part
      rest -= part
    }
    return end
  }
}
