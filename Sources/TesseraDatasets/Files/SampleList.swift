import TesseraCore

/// The `samples.jsonl` beside layouts that hold numbers alone: what else is known of each sample.
struct SampleList {
  /// How the table divides.
  let layout: FlatLayout
  private let metadata: MetadataJSON
  private let file: StagedFile
  private(set) var samples = 0
  private(set) var tokens = 0

  init(_ layout: FlatLayout, into stage: DatasetStage) throws {
    self.layout = layout
    metadata = MetadataJSON(layout.samples)
    file = try stage.create(FlatLayout.samplesFile)
  }

  /// Appends a sample.
  mutating func append(_ row: DatasetRow) throws {
    var line: [UInt8] = []
    metadata.append(layout.sampleRow(of: row), to: &line)
    try file.write(line)
    samples += 1
    tokens += row.cells[layout.token].shape.elementCount ?? 0
  }

  /// Ends the list.
  func finish() throws -> FinishedFile { try file.finish() }
}
