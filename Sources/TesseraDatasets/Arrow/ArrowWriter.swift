import TesseraCore

/// Arrow streams `data-00000-of-00002.arrow` with the two files that `datasets.load_from_disk` asks
/// for beside them.
struct ArrowWriter: StoredWriter {
  let output: DatasetOutput
  private let columns: [ArrowColumn]
  private var file: StagedFile?
  private var batch: [ArrowBatchColumn]
  private var batchRows = 0
  private var samples = 0
  private var tokens = 0

  /// The most rows and bytes of a batch; offsets have 32 bits.
  private static let mostRows = 1000
  private static let batchBytes = 1 << 24

  init(_ output: DatasetOutput) throws {
    self.output = output
    let stored = output.stored
    try stored.check { HuggingFaceFeatures.name(of: $0) != nil }
    let key = ArrowColumn(name: ParquetLayout.key, type: nil, rank: 0, stored: nil)
    columns = [key] + stored.columns.map { ArrowColumn($0) }
    batch = columns.map { ArrowBatchColumn($0) }
  }

  mutating func append(_ row: DatasetRow) throws {
    if file == nil {
      let file = try stage.create("data-\(shardDigits(stage.shards.count)).arrow")
      try Self.write(ArrowMessage.schema(columns), body: [], to: file)
      self.file = file
    }
    var size = 0
    for (index, column) in columns.enumerated() {
      guard let source = column.stored else {
        batch[index].append(text: Array(row.key.utf8))
        continue
      }
      let bytes = try stored.bytes(of: row, source)
      if column.type == nil {
        batch[index].append(text: bytes)
      } else {
        batch[index].append(bytes, shape: row.cells[source.index].shape)
      }
      size = max(size, batch[index].byteCount)
    }
    batchRows += 1
    samples += 1
    tokens += stored.tokens(of: row)
    if size >= Self.batchBytes || batchRows == Self.mostRows { try closeBatch() }
    if samples == options.shardSamples { try closeFile() }
  }

  private mutating func closeBatch() throws {
    guard batchRows > 0, let file else { return }
    var nodes: [(Int, Int)] = []
    var buffers: [[UInt8]] = []
    for column in batch { column.collect(rows: batchRows, into: &nodes, &buffers) }
    let message = ArrowMessage.batch(rows: batchRows, nodes: nodes, buffers: buffers.map(\.count))
    try Self.write(message, body: buffers, to: file)
    for index in batch.indices { batch[index].removeAll() }
    batchRows = 0
  }

  private mutating func closeFile() throws {
    try closeBatch()
    guard let file else { return }
    self.file = nil
    try file.write(ArrowMessage.end)
    stage.add(try file.finish(), samples: samples, tokens: tokens)
    (samples, tokens) = (0, 0)
  }

  private static func write(_ message: [UInt8], body: [[UInt8]], to file: StagedFile) throws {
    try file.write(UInt32.max)
    try file.write(UInt32((message.count + 7) / 8 * 8))
    try file.write(message)
    try file.pad(to: 8)
    for buffer in body {
      try file.write(buffer)
      try file.pad(to: 8)
    }
  }

  mutating func finish() throws {
    try closeFile()
    try stage.rename { index, count in
      "data-\(shardDigits(index))-of-\(shardDigits(count)).arrow"
    }
    let fingerprint = FileDigest.sha256(of: stage.shards.flatMap { Array($0.sha256.utf8) })
    let files = stage.shards.map { "{\"filename\": \"\($0.name)\"}" }.joined(separator: ", ")
    let state =
      "{\"_data_files\": [\(files)], \"_fingerprint\": \"\(fingerprint.prefix(16))\", "
      + "\"_format_columns\": null, \"_format_kwargs\": {}, \"_format_type\": null, "
      + "\"_output_all_columns\": false, \"_split\": \"train\"}\n"
    try stage.write(Array(state.utf8), to: "state.json")
    try stage.write(Array("{}\n".utf8), to: "dataset_info.json")
  }
}

/// A column of an Arrow schema: lists as deep as its axes.
struct ArrowColumn {
  let name: String
  /// The type of the elements; nil for text.
  let type: ElementType?
  let rank: Int
  /// Where the cells are; nil for the key.
  let stored: StoredTable.Column?
}

extension ArrowColumn {
  /// The column of a table.
  init(_ column: StoredTable.Column) {
    self.init(
      name: column.name,
      type: column.type.elementType,
      rank: column.column.shape.count,
      stored: column
    )
  }
}

/// The buffers of a column of one batch.
struct ArrowBatchColumn {
  private let column: ArrowColumn
  /// For every axis, or for text: where each list ends.
  private var offsets: [[Int32]]
  private var values: [UInt8] = []

  init(_ column: ArrowColumn) {
    self.column = column
    offsets = [[Int32]](repeating: [0], count: column.type == nil ? 1 : column.rank)
  }

  var byteCount: Int { values.count }

  /// Empties the buffers and keeps their memory.
  mutating func removeAll() {
    values.removeAll(keepingCapacity: true)
    for axis in offsets.indices {
      offsets[axis].removeAll(keepingCapacity: true)
      offsets[axis].append(0)
    }
  }

  mutating func append(text: [UInt8]) {
    values += text
    offsets[0].append(Int32(values.count))
  }

  mutating func append(_ bytes: [UInt8], shape: Shape) {
    values += bytes
    var lists = 1
    for (axis, extent) in shape.dimensions.enumerated() {
      var end = offsets[axis].last ?? 0
      for _ in 0..<lists {
        end += Int32(extent)
        offsets[axis].append(end)
      }
      lists *= extent
    }
  }

  /// Appends the field nodes and buffers: no value is null, so validity is empty.
  func collect(rows: Int, into nodes: inout [(Int, Int)], _ buffers: inout [[UInt8]]) {
    var length = rows
    for ends in offsets {
      nodes.append((length, 0))
      buffers += [[], DatasetCell(shape: [ends.count], elements: ends).bytes]
      length = Int(ends.last ?? 0)
    }
    if column.type == nil {
      buffers.append(values)
    } else {
      nodes.append((length, 0))
      buffers += [[], values]
    }
  }
}

/// The messages of an Arrow stream.
enum ArrowMessage {
  /// The mark of a stream's end.
  static let end: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]

  private static let version5: Int16 = 4
  private static let (schemaKind, batchKind) = (UInt8(1), UInt8(3))

  private static func message(
    kind: UInt8,
    bodyLength: Int,
    _ build: (_ header: Int, inout FlatBufferBuilder) -> Void
  ) -> [UInt8] {
    var builder = FlatBufferBuilder()
    let places = builder.table([
      .short(version5), .byte(kind), .offset, .long(Int64(bodyLength)),
    ])
    builder.point(0, to: builder.tableStart)
    build(places[2], &builder)
    return builder.bytes
  }

  /// The schema, with the features of Hugging Face as metadata.
  static func schema(_ columns: [ArrowColumn]) -> [UInt8] {
    message(kind: schemaKind, bodyLength: 0) { header, builder in
      let places = builder.table([.short(0), .offset, .offset])
      builder.point(header, to: builder.tableStart)
      let fields = builder.offsets(columns.count, at: places[1])
      for (column, place) in zip(columns, fields) {
        field(column.name, column.type, rank: column.rank, at: place, &builder)
      }
      let pair = builder.offsets(1, at: places[2])[0]
      let texts = builder.table([.offset, .offset])
      builder.point(pair, to: builder.tableStart)
      builder.string("huggingface", at: texts[0])
      let features = columns.map { (name: $0.name, type: $0.type, rank: $0.rank) }
      builder.string(HuggingFaceFeatures.json(features), at: texts[1])
    }
  }

  private static func field(
    _ name: String,
    _ type: ElementType?,
    rank: Int,
    at place: Int,
    _ builder: inout FlatBufferBuilder
  ) {
    let kind: UInt8 =
      rank > 0 ? 12 : type == nil ? 5 : type == .float32 || type == .float64 ? 3 : 2
    let places = builder.table([.offset, .byte(1), .byte(kind), .offset, .none, .offset])
    builder.point(place, to: builder.tableStart)
    builder.string(name, at: places[0])
    switch (kind, type) {
    case (2, let type?):
      let isSigned = type != .uint8 && type != .bool
      _ = builder.table([.int(Int32(type.bitWidth)), .byte(isSigned ? 1 : 0)])
    case (3, let type): _ = builder.table([.short(type == .float32 ? 1 : 2)])
    default: _ = builder.table([])
    }
    builder.point(places[3], to: builder.tableStart)
    let children = builder.offsets(rank > 0 ? 1 : 0, at: places[5])
    if let child = children.first {
      field("item", type, rank: rank - 1, at: child, &builder)
    }
  }

  /// The head of a batch of rows; its buffers follow, each padded to 8 bytes.
  static func batch(rows: Int, nodes: [(Int, Int)], buffers: [Int]) -> [UInt8] {
    var places: [(Int, Int)] = []
    var offset = 0
    for size in buffers {
      places.append((offset, size))
      offset += (size + 7) / 8 * 8
    }
    return message(kind: batchKind, bodyLength: offset) { header, builder in
      let fields = builder.table([.long(Int64(rows)), .offset, .offset])
      builder.point(header, to: builder.tableStart)
      builder.pairs(nodes, at: fields[1])
      builder.pairs(places, at: fields[2])
    }
  }
}
