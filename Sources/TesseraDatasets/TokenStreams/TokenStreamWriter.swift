import TesseraCore

/// Bare streams of token ids: nanoGPT's `train.bin`, llm.c's `train_000000.bin` with a header, and
/// datatrove's `00000_tokens.ds` with the documents' ends, the loss mask and a note beside it.
struct TokenStreamWriter: StoredWriter {
  let output: DatasetOutput
  private let type: ElementType
  private let tokenizer: String
  private var list: SampleList
  private var file: StagedFile
  private var ends: StagedFile?
  private var loss: StagedFile?
  /// What the current file has.
  private var samples = 0
  private var tokens = 0
  private var files = 0

  private static let streamName = "00000_tokens.ds"

  init(_ output: DatasetOutput) throws {
    self.output = output
    let (stored, stage) = (output.stored, output.stage)
    tokenizer = "tessera"
    let layout = try stored.flatLayout()
    guard
      let type = TokenStream.tokenType(
        of: stored.format,
        vocabularySize: stored.table.vocabularySize
      )
    else {
      let advice = stored.format == .nanogpt ? "; llmc and megatron hold larger ones" : ""
      throw TesseraError.limit(
        "a vocabulary of \(stored.table.vocabularySize) does not fit its ids\(advice)",
        place: stored.format.rawValue
      )
    }
    self.type = type
    list = try SampleList(layout, into: stage)
    switch stored.format {
    case .datatrove:
      file = try stage.create(Self.streamName)
      ends = try stage.create("\(Self.streamName).index")
      if !layout.aligned.isEmpty { loss = try stage.create("\(Self.streamName).loss") }
    case .llmc: file = try stage.spool("tokens")
    default: file = try stage.create("train.bin")
    }
  }

  mutating func append(_ row: DatasetRow) throws {
    let count = stored.tokens(of: row)
    guard count > 0, count <= TokenStream.mostTokens else {
      throw TesseraError.mismatch(
        "\(count) tokens, where a sample has 1 to 2147483647",
        place: "\(stored.format.rawValue): \(row.key)"
      )
    }
    if stored.format == .llmc, tokens + count > TokenStream.mostTokens { try closeStream() }
    let column = stored.columns[list.layout.token]
    let source = column.column.type.elementType ?? .uint8
    let bytes = row.cells[column.index].bytes
    try file.write(try stored.convert(bytes, source, type, row.key, column.name))
    if let loss, let index = list.layout.aligned.first {
      let mask = stored.columns[index]
      let source = mask.column.type.elementType ?? .uint8
      let bytes = try stored.convert(row.cells[index].bytes, source, .uint8, row.key, mask.name)
      guard bytes.count == count else {
        throw TesseraError.mismatch(
          "it has not one number per token",
          place: "\(stored.format.rawValue): \("\(row.key): \(mask.name)")"
        )
      }
      try loss.write(bytes)
    }
    samples += 1
    tokens += count
    try ends?.write(UInt64(tokens))
    try list.append(row)
  }

  /// Ends one of llm.c's files: its header counts what follows.
  private mutating func closeStream() throws {
    guard samples > 0 else { return }
    let kind = type == .uint16 ? TokenStream.narrowMagic : TokenStream.wideMagic
    let whole = try stage.create("train_\(shardDigits(files, width: 6)).bin")
    try whole.write(kind.magic)
    try whole.write(kind.version)
    try whole.write(Int32(tokens))
    try whole.write([UInt8](repeating: 0, count: 4 * (TokenStream.headerCount - 3)))
    try whole.append(contentsOf: file)
    try file.discard()
    stage.add(try whole.finish(), samples: samples, tokens: tokens)
    file = try stage.spool("tokens")
    files += 1
    (samples, tokens) = (0, 0)
  }

  mutating func finish() throws {
    if stored.format == .llmc {
      try closeStream()
      try file.discard()
    } else {
      stage.add(try file.finish(), samples: samples, tokens: tokens)
    }
    for side in [ends, loss].compactMap(\.self) { stage.add(try side.finish()) }
    if stored.format == .datatrove {
      let note = "\(tokenizer)|\(type.bitWidth / 8)\n\(tokens)\n\(tokens) tokens"
      try stage.write(Array(note.utf8), to: "\(Self.streamName).metadata")
    }
    stage.add(try list.finish())
  }
}
