package import TesseraCore

/// What readers and writers of bare streams of token ids share.
package enum TokenStream {
  /// The integers of llm.c's header, of 32 bits each.
  package static let headerCount = 256
  /// llm.c's header of 16-bit ids, and of 32-bit ids.
  package static let narrowMagic: (magic: Int32, version: Int32) = (20_240_520, 1)
  package static let wideMagic: (magic: Int32, version: Int32) = (20_240_801, 7)
  /// The most tokens of a file of llm.c's: its header counts in 32 bits.
  package static let mostTokens = Int(Int32.max)

  /// The type of ids below a number; nil where the layout has none that is wide enough.
  package static func tokenType(
    of format: DatasetFormat,
    vocabularySize: Int
  ) -> ElementType? {
    if vocabularySize <= 1 << 16 { return .uint16 }
    return format == .nanogpt || vocabularySize > 1 << 32 ? nil : .uint32
  }

  /// The bytes before the ids of a file.
  package static func headerSize(of format: DatasetFormat) -> Int {
    format == .llmc ? 4 * headerCount : 0
  }
}

/// The samples of bare streams of token ids, cut by `samples.jsonl`.
struct TokenStreamRows: DatasetRows {
  let table: DatasetTable
  private let format: DatasetFormat
  private let folder: String
  private let files: [String]
  private let layout: FlatLayout
  private let type: ElementType

  init(_ dataset: TokenDataset, _ record: DatasetLayout, format: DatasetFormat) throws {
    table = record.table
    self.format = format
    folder = dataset.path
    files = try dataset.manifest.shards.map { try dataset.file($0.name) }
    guard let layout = FlatLayout(table),
      let type = TokenStream.tokenType(of: format, vocabularySize: table.vocabularySize)
    else { throw TesseraError.malformed("its table has no tokens of this layout", file: folder) }
    (self.layout, self.type) = (layout, type)
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    var lines = try SampleLines(folder: folder, layout: layout, table: table)
    for path in files {
      var file = try FileStream(path: path)
      var loss = try layout.aligned.isEmpty ? nil : FileStream(path: path + ".loss")
      try file.skip(TokenStream.headerSize(of: format))
      while file.rest > 0 {
        guard let next = try lines.next(), next.count > 0 else {
          throw file.damage("more tokens than samples.jsonl says")
        }
        var row = next.row
        let bytes = try file.next(next.count * type.bitWidth / 8)
        row.cells[layout.token] = DatasetCell(
          shape: next.tokens,
          bytes: try bytes.converted(from: type, to: table.columns[layout.token], place: path)
        )
        if let index = layout.aligned.first, let mask = try loss?.next(next.count) {
          row.cells[index] = DatasetCell(
            shape: [next.count],
            bytes: try mask.converted(from: .uint8, to: table.columns[index], place: path)
          )
        }
        try body(row)
      }
    }
    guard try lines.next() == nil else {
      throw TesseraError.malformed("fewer tokens than samples.jsonl says", file: folder)
    }
  }
}
