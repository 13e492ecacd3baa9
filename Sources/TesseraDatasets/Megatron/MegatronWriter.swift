import TesseraCore

/// Megatron's indexed datasets: `tokens.bin` and `tokens.idx`, and a pair of its own with the same
/// lengths for every axis of the positions and every column aligned with the tokens.
///
/// One sample is one sequence and one document, so that `GPTDataset` never tears it apart.
struct MegatronWriter: StoredWriter {
  let output: DatasetOutput
  private var list: SampleList
  private var streams: [Stream] = []
  private let lengths: StagedFile

  /// One pair of files.
  private struct Stream {
    let prefix: String
    let column: StoredTable.Column
    let type: ElementType
    /// Which axis of the column, and of how many.
    let axis: (index: Int, count: Int)
    let file: StagedFile
  }

  init(_ output: DatasetOutput) throws {
    self.output = output
    let (stored, stage) = (output.stored, output.stage)
    let layout = try stored.flatLayout()
    list = try SampleList(layout, into: stage)
    lengths = try stage.spool("lengths")
    try add(
      "tokens",
      layout.token,
      MegatronIndex.tokenType(vocabularySize: stored.table.vocabularySize)
    )
    if let positions = layout.positions {
      for axis in 0..<positions.axes {
        try add("position_\(axis)", positions.column, axis: (axis, positions.axes))
      }
    }
    for index in layout.aligned { try add(stored.columns[index].name, index) }
    guard Set(streams.map(\.prefix)).count == streams.count else {
      throw stored.refusal("two columns would have one prefix; rename one with --rename")
    }
  }

  private mutating func add(
    _ prefix: String,
    _ index: Int,
    _ wanted: ElementType? = nil,
    axis: (Int, Int) = (0, 1)
  ) throws {
    let column = stored.columns[index]
    guard let type = wanted ?? MegatronIndex.sideType(of: column.elementType) else {
      throw stored.refusal("no type for \(column.elementType.rawValue) ('\(column.name)')")
    }
    streams.append(
      Stream(
        prefix: prefix,
        column: column,
        type: type,
        axis: axis,
        file: try stage.create("\(prefix).bin")
      )
    )
  }

  mutating func append(_ row: DatasetRow) throws {
    let count = stored.tokens(of: row)
    guard count > 0, count <= Int(Int32.max) else {
      throw TesseraError.mismatch(
        "\(count) tokens, where a sequence has 1 to 2147483647",
        place: "\(DatasetFormat.megatron.rawValue): \(row.key)"
      )
    }
    for stream in streams {
      let width = stream.column.elementType.bitWidth / 8
      let all = row.cells[stream.column.index].bytes
      guard all.count == count * width * stream.axis.count else {
        throw TesseraError.mismatch(
          "it has not one number per token",
          place: "\(DatasetFormat.megatron.rawValue): \("\(row.key): \(stream.prefix)")"
        )
      }
      let part = count * width
      let bytes =
        stream.axis.count == 1
        ? all : Array(all[stream.axis.index * part..<(stream.axis.index + 1) * part])
      try stream.file.write(
        try stored.convert(
          bytes,
          stream.column.elementType,
          stream.type,
          row.key,
          stream.prefix
        )
      )
    }
    try lengths.write(Int32(count))
    try list.append(row)
  }

  mutating func finish() throws {
    for (position, stream) in streams.enumerated() {
      let file = try stream.file.finish()
      if position == 0 {
        stage.add(file, samples: list.samples, tokens: list.tokens)
      } else {
        stage.add(file)
      }
      try writeIndex(of: stream)
    }
    try lengths.discard()
    stage.add(try list.finish())
  }

  /// Writes an `.idx` in bounded memory: the lengths are read again for each of its parts.
  private func writeIndex(of stream: Stream) throws {
    let index = try stage.create("\(stream.prefix).idx")
    try index.write(MegatronIndex.magic)
    try index.write(UInt64(1))
    try index.write(MegatronIndex.code(of: stream.type) ?? 0)
    try index.write(UInt64(list.samples))
    try index.write(UInt64(list.samples + 1))
    try index.append(contentsOf: lengths)
    let width = Int64(stream.type.bitWidth / 8)
    var pointer: Int64 = 0
    try lengths.forEach(Int32.self) { length in
      try index.write(pointer)
      pointer += Int64(length) * width
    }
    for document in 0...list.samples { try index.write(Int64(document)) }
    stage.add(try index.finish())
  }
}
