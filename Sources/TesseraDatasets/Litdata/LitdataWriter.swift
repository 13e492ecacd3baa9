import TesseraCore

/// Lightning's chunks: `chunk-0-0.bin` and `index.json`; items are dictionaries of the columns, or
/// with the variant `tokens` the ids alone for its `TokensLoader`, and `samples.jsonl` beside them.
struct LitdataWriter: StoredWriter {
  let output: DatasetOutput
  private let leaves: [Leaf]
  private let index: StagedFile
  private let isTokens: Bool
  /// What else is known of each sample where items are ids alone.
  private var list: SampleList?
  private var items: [UInt8] = []
  private var sizes: [UInt32] = []
  private var tokens = 0
  private var chunks = 0

  /// One leaf of an item's tree; the key has no column of the table.
  private struct Leaf {
    let name: String
    let stored: StoredTable.Column?
    let format: String
    let type: ElementType
  }

  init(_ output: DatasetOutput) throws {
    self.output = output
    let (stored, stage) = (output.stored, output.stage)
    isTokens = output.options.variant == "tokens"
    if isTokens {
      let layout = try Self.layout(of: stored)
      leaves = [Self.tokens(stored.columns[layout.token], stored.table)]
      list = try SampleList(layout, into: stage)
    } else {
      leaves = try Self.tree(of: stored)
    }
    index = try stage.create("index.json")
    try index.write(Array("{\"chunks\": [".utf8))
  }

  /// How a table divides in the tokens variant, which has no place beside the ids but a list of samples.
  private static func layout(of stored: StoredTable) throws -> FlatLayout {
    guard let layout = FlatLayout(stored.table) else {
      throw stored.refusal("the variant 'tokens' takes a column of tokens; name it by --columns")
    }
    let others = layout.aligned + [layout.positions?.column].compactMap(\.self)
    if let lost = (others + layout.omitted(of: stored.table)).min() {
      throw stored.refusal(
        "the variant 'tokens' has no place for '\(stored.columns[lost].name)'; leave it out by --columns"
      )
    }
    return layout
  }

  /// The one leaf of the tokens variant: uint16 where the vocabulary allows, as its readers widen.
  private static func tokens(_ column: StoredTable.Column, _ table: DatasetTable) -> Leaf {
    let (type, number) = LitdataChunk.tokenType(vocabularySize: table.vocabularySize)
    return Leaf(name: column.name, stored: column, format: "no_header_tensor:\(number)", type: type)
  }

  private static func tree(of stored: StoredTable) throws -> [Leaf] {
    var leaves = [Leaf(name: "key", stored: nil, format: "str", type: .uint8)]
    for column in stored.columns {
      guard let type = column.type.elementType else {
        leaves.append(Leaf(name: column.name, stored: column, format: "str", type: .uint8))
        continue
      }
      guard let number = LitdataChunk.number(of: type) else {
        throw stored.refusal(
          "no type for \(type.rawValue) ('\(column.name)'); leave it out by --columns"
        )
      }
      let isFloat = [.float32, .float64].contains(type)
      let format: String
      switch column.column.shape.count {
      case 0 where isFloat: format = "float"
      case 0: format = "int"
      case 1: format = "no_header_numpy:\(number)"
      default: format = "numpy"
      }
      let scalar: ElementType = isFloat ? .float64 : .int64
      let wide = column.column.shape.isEmpty ? scalar : type
      leaves.append(Leaf(name: column.name, stored: column, format: format, type: wide))
    }
    return leaves
  }

  mutating func append(_ row: DatasetRow) throws {
    var head: [UInt8] = []
    var body: [UInt8] = []
    for leaf in leaves {
      let start = body.count
      try append(leaf, of: row, to: &body)
      head.appendLittleEndian(UInt32(body.count - start))
    }
    if isTokens { head = [] }
    let size = head.count + body.count
    guard size < 1 << 31 else {
      throw TesseraError.mismatch(
        "a sample of \(size) bytes",
        place: "\(DatasetFormat.litdata.rawValue): \(row.key)"
      )
    }
    let isFull =
      items.count + size + 4 * (sizes.count + 3) > options.shardBytes
      || sizes.count == options.shardSamples
    if isFull, !sizes.isEmpty { try closeChunk() }
    items += head
    items += body
    sizes.append(UInt32(size))
    tokens += stored.tokens(of: row)
    try list?.append(row)
  }

  private func append(_ leaf: Leaf, of row: DatasetRow, to body: inout [UInt8]) throws {
    guard let column = leaf.stored else {
      body += row.key.utf8
      return
    }
    let cell = row.cells[column.index]
    guard let source = column.column.type.elementType else {
      body += cell.bytes
      return
    }
    if leaf.format == "numpy" {
      body.appendLittleEndian(UInt32(LitdataChunk.number(of: leaf.type) ?? 0))
      body.appendLittleEndian(UInt32(cell.shape.rank))
      for extent in cell.shape.dimensions { body.appendLittleEndian(UInt32(extent)) }
    }
    body += try stored.convert(cell.bytes, source, leaf.type, row.key, leaf.name)
  }

  private mutating func closeChunk() throws {
    guard !sizes.isEmpty else { return }
    let file = try stage.create("chunk-0-\(chunks).bin")
    var offset = UInt32(4 * (sizes.count + 2))
    try file.write(UInt32(sizes.count))
    try file.write(offset)
    for size in sizes {
      offset += size
      try file.write(offset)
    }
    try file.write(items)
    let finished = try file.finish()
    let dim = isTokens ? "\(tokens)" : "null"
    let entry =
      "{\"chunk_bytes\": \(items.count), \"chunk_size\": \(sizes.count), \"dim\": \(dim), "
      + "\"filename\": \"\(finished.name)\"}"
    try index.write(Array("\(chunks == 0 ? "" : ", ")\(entry)".utf8))
    stage.add(finished, samples: sizes.count, tokens: tokens)
    items.removeAll(keepingCapacity: true)
    sizes.removeAll(keepingCapacity: true)
    tokens = 0
    chunks += 1
  }

  mutating func finish() throws {
    try closeChunk()
    let formats = leaves.map { JSONText.quotedASCII($0.format) }.joined(separator: ", ")
    let loader = isTokens ? "TokensLoader" : "PyTreeLoader"
    try index.write(
      Array(
        """
        ], "config": {"chunk_bytes": \(options.shardBytes), "chunk_size": null, \
        "compression": null, "data_format": [\(formats)], \
        "data_spec": \(JSONText.quotedASCII(specification)), "encryption": null, \
        "item_loader": "\(loader)"}, "updated_at": "1.0"}

        """.utf8
      )
    )
    stage.add(try index.finish())
    if let list { stage.add(try list.finish()) }
  }

  /// The tree of an item as torch's pytree writes it: a leaf, or a dictionary of leaves.
  private var specification: String {
    let leaf = "{\"type\": null, \"context\": null, \"children_spec\": []}"
    if isTokens { return "[1, \(leaf)]" }
    let names = leaves.map { JSONText.quotedASCII($0.name) }.joined(separator: ", ")
    let children = leaves.map { _ in leaf }.joined(separator: ", ")
    return "[1, {\"type\": \"builtins.dict\", \"context\": "
      + JSONText.quotedASCII("[\(names)]") + ", \"children_spec\": [\(children)]}]"
  }
}
