/// Files of JSON, a line a sample: `data/train-00000-of-00002.jsonl`.
struct JSONLinesWriter: StoredWriter {
  let output: DatasetOutput
  private let line: MetadataJSON
  private var file: StagedFile?
  private var samples = 0
  private var tokens = 0

  init(_ output: DatasetOutput) throws {
    self.output = output
    let stored = output.stored
    try stored.check(JSONBytes.holds)
    var renamed = stored.table.asMetadata
    for column in stored.columns { renamed.columns[column.index].name = column.name }
    line = MetadataJSON(renamed, hasOwnNames: true)
  }

  mutating func append(_ row: DatasetRow) throws {
    let file = try self.file ?? stage.create("data/train-\(shardDigits(stage.shards.count)).jsonl")
    self.file = file
    var bytes: [UInt8] = []
    line.append(row, to: &bytes)
    try file.write(bytes)
    samples += 1
    tokens += stored.tokens(of: row)
    if samples == options.shardSamples { try closeFile() }
  }

  private mutating func closeFile() throws {
    guard let file else { return }
    stage.add(try file.finish(), samples: samples, tokens: tokens)
    (self.file, samples, tokens) = (nil, 0, 0)
  }

  mutating func finish() throws {
    try closeFile()
    try stage.rename { index, count in
      "data/train-\(shardDigits(index))-of-\(shardDigits(count)).jsonl"
    }
  }
}
