import TesseraCore

/// Parquet files `data/train-00000-of-00002.parquet`: a list column an array, pages compressed with
/// zstd, the features of Hugging Face in the footer.
struct ParquetWriter: StoredWriter {
  let output: DatasetOutput
  private let columns: [ParquetColumn]
  private let features: String
  private var file: File?
  /// The values of the current row group; their memory is used again for the next.
  private var chunks: [ParquetChunk]

  /// The most bytes of values that a row group holds before it is written.
  private static let rowGroupBytes = 1 << 24

  /// A file being written.
  private struct File {
    let file: StagedFile
    var groups: [ThriftCompactWriter] = []
    var groupRows = 0
    var rows = 0
    var tokens = 0
  }

  init(_ output: DatasetOutput) throws {
    self.output = output
    let stored = output.stored
    try stored.check { ParquetLayout.kind(of: $0) != nil }
    let key = ParquetColumn(name: ParquetLayout.key, kind: nil, rank: 0, stored: nil)
    columns = [key] + stored.columns.map { ParquetColumn($0) }
    chunks = columns.map { ParquetChunk(rank: $0.rank) }
    features = HuggingFaceFeatures.json(columns.map { ($0.name, $0.kind, $0.rank) })
  }

  mutating func append(_ row: DatasetRow) throws {
    var file = try self.file ?? makeFile()
    self.file = nil
    var size = 0
    for (index, column) in columns.enumerated() {
      guard let source = column.stored else {
        chunks[index].append(text: Array(row.key.utf8))
        continue
      }
      let cell = row.cells[source.index]
      if column.kind == nil {
        chunks[index].append(text: cell.bytes)
      } else {
        let type = source.column.type.elementType ?? .uint8
        let wanted = ParquetLayout.kind(of: column.kind)?.stored ?? .int32
        let values = try stored.convert(cell.bytes, type, wanted, row.key, column.name)
        chunks[index].append(values, shape: cell.shape, width: wanted.bitWidth / 8)
      }
      size += chunks[index].byteCount
    }
    file.groupRows += 1
    file.rows += 1
    file.tokens += stored.tokens(of: row)
    if size >= Self.rowGroupBytes { try closeGroup(of: &file) }
    self.file = file
    if file.rows == options.shardSamples { try closeFile() }
  }

  private func makeFile() throws -> File {
    let file = try stage.create("data/train-\(shardDigits(stage.shards.count)).parquet")
    try file.write(ParquetLayout.magic)
    return File(file: file)
  }

  private mutating func closeGroup(of file: inout File) throws {
    guard file.groupRows > 0 else { return }
    var total = 0
    var described: [ThriftCompactWriter] = []
    for (index, column) in columns.enumerated() {
      let start = file.file.position
      let page = chunks[index].page(level: options.compression)
      try file.file.write(page.header)
      try file.file.write(page.data)
      let rawSize = page.header.count + page.rawSize
      var metadata = ThriftCompactWriter()
      metadata.integer(1, ParquetLayout.kind(of: column.kind)?.physical ?? 6)
      metadata.integers(2, [0, 3])
      metadata.texts(3, column.path)
      metadata.integer(
        4,
        options.compression == nil ? ParquetLayout.plainCodec : ParquetLayout.zstdCodec
      )
      metadata.long(5, page.values)
      metadata.long(6, rawSize)
      metadata.long(7, file.file.position - start)
      metadata.long(9, start)
      var chunk = ThriftCompactWriter()
      chunk.long(2, start)
      chunk.structure(3, metadata)
      described.append(chunk)
      total += rawSize
      chunks[index].removeAll()
    }
    var group = ThriftCompactWriter()
    group.structures(1, described)
    group.long(2, total)
    group.long(3, file.groupRows)
    file.groups.append(group)
    file.groupRows = 0
  }

  private mutating func closeFile() throws {
    guard var file else { return }
    self.file = nil
    try closeGroup(of: &file)
    var root = ThriftCompactWriter()
    root.text(4, "schema")
    root.integer(5, columns.count)
    var pair = ThriftCompactWriter()
    pair.text(1, "huggingface")
    pair.text(2, features)
    var footer = ThriftCompactWriter()
    footer.integer(1, 1)
    footer.structures(2, [root] + columns.flatMap(\.schema))
    footer.long(3, file.rows)
    footer.structures(4, file.groups)
    footer.structures(5, [pair])
    footer.text(6, "tessera")
    let bytes = footer.finished
    try file.file.write(bytes)
    try file.file.write(UInt32(bytes.count))
    try file.file.write(ParquetLayout.magic)
    stage.add(try file.file.finish(), samples: file.rows, tokens: file.tokens)
  }

  mutating func finish() throws {
    try closeFile()
    try stage.rename { index, count in
      "data/train-\(shardDigits(index))-of-\(shardDigits(count)).parquet"
    }
  }
}

/// A column as Parquet's schema has it.
struct ParquetColumn {
  let name: String
  /// The type of the elements; nil for text.
  let kind: ElementType?
  /// How deep the lists are.
  let rank: Int
  /// Where the cells are; nil for the key.
  let stored: StoredTable.Column?

  /// The names from the root to the elements.
  var path: [String] { [name] + (0..<rank).flatMap { _ in ["list", "element"] } }

  /// The elements of the schema: for every axis an optional group of a repeated one.
  var schema: [ThriftCompactWriter] {
    var elements: [ThriftCompactWriter] = []
    for depth in 0..<rank {
      var group = ThriftCompactWriter()
      group.integer(3, 1)
      group.text(4, depth == 0 ? name : "element")
      group.integer(5, 1)
      group.integer(6, 3)
      var list = ThriftCompactWriter()
      list.integer(3, 2)
      list.text(4, "list")
      list.integer(5, 1)
      elements += [group, list]
    }
    let kind = ParquetLayout.kind(of: kind)
    var leaf = ThriftCompactWriter()
    leaf.integer(1, kind?.physical ?? 6)
    leaf.integer(3, 1)
    leaf.text(4, rank == 0 ? name : "element")
    if let converted = kind?.converted { leaf.integer(6, converted) }
    return elements + [leaf]
  }
}

extension ParquetColumn {
  /// The column of a table.
  init(_ column: StoredTable.Column) {
    self.init(
      name: column.name,
      kind: column.type.elementType,
      rank: column.column.shape.count,
      stored: column
    )
  }
}

/// The values of one column of a row group, with the levels that say where lists begin.
struct ParquetChunk {
  private let rank: Int
  private var values: [UInt8] = []
  private var repetitions = LevelRuns()
  private var definitions = LevelRuns()
  private var count = 0

  init(rank: Int) { self.rank = rank }

  /// The size so far.
  var byteCount: Int { values.count }

  /// How deep an element is defined: every group, every list and the element itself.
  private var deepest: Int { 2 * rank + 1 }

  mutating func append(text: [UInt8]) {
    values.appendLittleEndian(UInt32(text.count))
    values += text
    addLevels(repetition: 0, definition: deepest, count: 1)
  }

  mutating func append(_ bytes: [UInt8], shape: Shape, width: Int) {
    values += bytes
    guard rank > 0, let innermost = shape.dimensions.last else {
      return addLevels(repetition: 0, definition: deepest, count: 1)
    }
    // An axis without elements ends the levels there: its list is defined, and empty.
    if let empty = shape.dimensions.firstIndex(of: 0) {
      let lists = shape.dimensions[..<empty]
      return addLists(lists, definition: 2 * empty + 1, run: nil)
    }
    addLists(shape.dimensions.dropLast(), definition: deepest, run: innermost)
  }

  /// Adds levels for every combination of the outer axes: one for an empty list, or as many as the
  /// innermost axis is long.
  private mutating func addLists(_ outer: ArraySlice<Int>, definition: Int, run: Int?) {
    var index = [Int](repeating: 0, count: outer.count)
    var repetition = 0
    while true {
      addLevels(repetition: repetition, definition: definition, count: 1)
      if let run, run > 1 { addLevels(repetition: rank, definition: definition, count: run - 1) }
      var axis = outer.count - 1
      while axis >= 0 {
        index[axis] += 1
        if index[axis] < outer[outer.startIndex + axis] { break }
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
      repetition = axis + 1
    }
  }

  private mutating func addLevels(repetition: Int, definition: Int, count: Int) {
    if rank > 0 { repetitions.add(repetition, count: count) }
    definitions.add(definition, count: count)
    self.count += count
  }

  /// The only page of the chunk.
  func page(
    level: Int?
  ) -> (header: [UInt8], data: [UInt8], rawSize: Int, values: Int) {
    let levels = (rank > 0 ? [repetitions, definitions] : [definitions]).map(\.finished)
    var data: [UInt8] = []
    data.reserveCapacity(levels.reduce(values.count) { $0 + 4 + $1.count })
    for runs in levels {
      data.appendLittleEndian(UInt32(runs.count))
      data += runs
    }
    data += values
    let packed = level.map { Zstandard.compress(data, level: $0) } ?? data
    var dataHeader = ThriftCompactWriter()
    dataHeader.integer(1, count)
    dataHeader.integer(2, 0)
    dataHeader.integer(3, 3)
    dataHeader.integer(4, 3)
    var header = ThriftCompactWriter()
    header.integer(1, 0)
    header.integer(2, data.count)
    header.integer(3, packed.count)
    header.structure(5, dataHeader)
    return (header.finished, packed, data.count, count)
  }

  mutating func removeAll() {
    values.removeAll(keepingCapacity: true)
    repetitions = LevelRuns()
    definitions = LevelRuns()
    count = 0
  }

  /// Levels as runs: twice the length, then the level in one byte.
  private struct LevelRuns {
    private var bytes: [UInt8] = []
    private var level = 0
    private var count = 0

    mutating func add(_ level: Int, count: Int) {
      if level != self.level {
        flush()
        self.level = level
      }
      self.count += count
    }

    private mutating func flush() {
      guard count > 0 else { return }
      bytes.appendVarint(UInt64(count) << 1)
      bytes.append(UInt8(level))
      count = 0
    }

    var finished: [UInt8] {
      var copy = self
      copy.flush()
      return copy.bytes
    }
  }
}
