import Foundation
import TesseraCore
import TesseraImages
import TesseraSequences

/// Rows of token sequences, made of rows of codes and captions.
struct SequenceRows: DatasetRows {
  let table: DatasetTable

  private let stage: SequenceStage
  private let source: any DatasetRows
  private let seed: UInt64?
  private let rejected: RejectedDocuments
  private let builder: SequenceBuilder
  private let codes: Int
  private let codeType: ElementType
  private let caption: Int?
  private let sourceName: Int?
  private let offset: Int
  /// The source's columns that a row of one document keeps.
  private let kept: [Int]
  /// The columns of sequences that every row has, in order.
  private let columns: [SequenceColumn]

  init(
    _ stage: SequenceStage,
    source: any DatasetRows,
    _ manifest: DatasetManifest,
    seed: UInt64?,
    rejected: RejectedDocuments
  ) throws {
    (codes, codeType) = try Self.codes(of: source.table)
    caption = source.table.index(of: "caption")
    sourceName = source.table.index(of: "source")
    try Self.check(stage, for: manifest, hasCaptions: caption != nil)
    (self.stage, self.source, self.seed, self.rejected) = (stage, source, seed, rejected)
    offset = manifest.settings.vocabularyOffset
    builder = try SequenceBuilder(
      stage.layout,
      tokenizer: stage.tokenizer,
      codeCount: manifest.settings.tokenizer.vocabularySize,
      scheme: stage.scheme,
      vocabulary: stage.vocabulary
    )
    columns = SequenceColumn.columns(of: stage)
    var all = columns.map { $0.column(of: stage) }
    if stage.documents == nil, stage.packing.keepsDocuments {
      let own = source.table.columns
      kept = own.indices.filter { [caption] in own[$0].isMetadata || $0 == caption }
      all += kept.map { own[$0] }
    } else {
      kept = []
      all.append(DatasetColumn(name: "documents", type: .json, isMetadata: true))
    }
    table = DatasetTable(columns: all, vocabularySize: builder.vocabularySize)
    _ = try packer()
  }

  /// The column of codes, and what its elements are.
  private static func codes(
    of table: DatasetTable
  ) throws(TesseraError) -> (column: Int, type: ElementType) {
    guard let codes = table.index(of: "codes"), let type = table.columns[codes].type.elementType,
      (1...2).contains(table.columns[codes].shape.count)
    else {
      throw TesseraError.mismatch(
        "sequences are made of a column 'codes' [height, width], which this dataset has not"
      )
    }
    return (codes, type)
  }

  /// Refuses a dataset that a layout and its packing cannot write.
  private static func check(
    _ stage: SequenceStage,
    for manifest: DatasetManifest,
    hasCaptions: Bool
  ) throws(TesseraError) {
    if let views = manifest.settings.augment {
      throw TesseraError.mismatch(
        "sequences are made of one view of each image, and this dataset has those of \(views): "
          + "tokenize without --augment"
      )
    }
    if stage.documents == nil, !hasCaptions, stage.layout.caption == .required {
      throw TesseraError.mismatch(
        "\(stage.layout.name) needs captions, and the dataset has none: tokenize with --captions"
      )
    }
    if case .separate = stage.layout.codes, stage.packing == .concatenate {
      throw TesseraError.mismatch(
        "\(stage.layout.name) keeps codes beside the ids, and concatenated rows would cut them; "
          + "use --pack best-fit"
      )
    }
  }

  private func packer() throws(TesseraError) -> SequencePacker {
    try SequencePacker(stage.packing, length: stage.settings.length, pad: builder.pad)
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    rejected.start()
    var packer = try packer()
    var builder = builder
    var number = 0
    var metadata: [DatasetCell] = []
    func emit(_ row: SequencePacker.Row) throws {
      let isAlone = !kept.isEmpty || table.columns.count == columns.count
      var cells = columns.map { $0.cell(of: row.sequence, stage) }
      if isAlone {
        cells += metadata
      } else {
        cells.append(DatasetCell(text: Self.list(row.keys)))
      }
      let key = stage.packing.keepsDocuments ? row.keys[0] : Self.name("pack", number)
      number += 1
      try body(DatasetRow(key: key, cells: cells))
    }
    try forEachDocument { document in
      do {
        let sequence = try builder.sequence(of: document.parts)
        metadata = document.metadata
        try packer.add(sequence, key: document.key, emit: emit)
      } catch let error as TesseraError where error.detail == .document {
        reject(document.source, error.cause)
      } catch let error as TesseraError {
        throw error.in(document.source)
      }
    }
    try packer.finish(emit: emit)
  }

  private func reject(_ source: String, _ reason: String) {
    let line = reason.replacing("\n", with: " ")
    rejected.add(Rejection(source: source, stage: .sequence, reason: line))
  }

  /// A document, and what a row keeps of its sample.
  private struct Document {
    let key: String
    let source: String
    let parts: [DocumentPart]
    var metadata: [DatasetCell] = []
  }

  private func forEachDocument(_ body: (Document) throws -> Void) throws {
    if let documents = stage.documents { return try forEach(documents, body) }
    let rows = seed.map { ShuffledRows(source, seed: $0) as any DatasetRows } ?? source
    try rows.forEach { row in
      let name = sourceName.map { row.cells[$0].text } ?? row.key
      let text = caption.map { row.cells[$0].text } ?? ""
      if text.isEmpty, stage.layout.caption == .required {
        return reject(name, "it has no caption, and \(stage.layout.name) needs one")
      }
      let image = try part(of: row)
      let parts = stage.imageFirst ? [image, .text(text)] : [.text(text), image]
      let metadata = kept.map { row.cells[$0] }
      try body(Document(key: row.key, source: name, parts: parts, metadata: metadata))
    }
  }

  private func forEach(_ file: DocumentFile, _ body: (Document) throws -> Void) throws {
    let images = try IndexedRows(source)
    let order = seed.map { Permutation(count: file.documents.count, seed: $0) }
    for position in file.documents.indices {
      let (line, parts) = file.documents[order?[position] ?? position]
      let name = file.source(ofLine: line)
      var missing: String?
      var made: [DocumentPart] = []
      for part in parts {
        switch part {
        case .text(let text): made.append(.text(text))
        case .image(let image):
          if let row = try images.row(named: image) {
            made.append(try self.part(of: row))
          } else if missing == nil {
            missing = image
          }
        }
      }
      if let missing {
        reject(name, "its image '\(missing)' is not in the dataset: rejected, or named otherwise")
      } else {
        try body(Document(key: Self.name("document", line), source: name, parts: made))
      }
    }
  }

  private func part(of row: DatasetRow) throws -> DocumentPart {
    let cell = row.cells[codes]
    let extents = cell.shape.dimensions
    do {
      let values = try ElementConversion.integers(cell.bytes, of: codeType)
      return .image(
        // A number far below the offset wraps to one as far beyond every vocabulary.
        codes: values.map { Int($0) &- offset },
        height: extents.count == 2 ? extents[0] : 1,
        width: extents.last ?? 0
      )
    } catch {
      throw TesseraError.malformed("its codes are no whole numbers", file: row.key)
    }
  }

  private static func name(_ word: String, _ number: Int) -> String {
    let digits = String(number)
    return "\(word)-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }

  private static func list(_ keys: [String]) -> String {
    let line = (try? CanonicalJSON.line(keys)) ?? []
    return String(decoding: line.dropLast(), as: UTF8.self)
  }
}

extension SequencePacking {
  /// Whether a row is one document.
  var keepsDocuments: Bool { self == .none || self == .fixed }
}

/// The columns of sequences, by the names that trainers use.
private enum SequenceColumn {
  case ids, labels, lossMask, positions, textPositions, kinds, grids, spans, ends, imageCodes

  /// The columns of a stage; rows that cut images have no grids and spans of them.
  static func columns(of stage: SequenceStage) -> [SequenceColumn] {
    var columns: [SequenceColumn] = [.ids, .labels, .lossMask]
    if stage.scheme != nil { columns.append(.positions) }
    columns += [.textPositions, .kinds]
    if stage.packing != .concatenate { columns += [.grids, .spans] }
    columns.append(.ends)
    if case .separate = stage.layout.codes, stage.packing != .concatenate {
      columns.append(.imageCodes)
    }
    return columns
  }

  func column(of stage: SequenceStage) -> DatasetColumn {
    let tokens: Int? = stage.packing == .fixed ? stage.settings.length : nil
    switch self {
    case .ids: return DatasetColumn(name: "input_ids", type: .array(.int32), shape: [tokens])
    case .labels: return DatasetColumn(name: "labels", type: .array(.int32), shape: [tokens])
    case .lossMask: return DatasetColumn(name: "loss_mask", type: .array(.uint8), shape: [tokens])
    case .positions:
      let isFractional = stage.scheme?.name.isFractional ?? false
      let axes = stage.scheme?.axes(withVideo: false).count
      return DatasetColumn(
        name: "position_ids",
        type: .array(isFractional ? .float32 : .int32),
        shape: [axes, tokens]
      )
    case .textPositions:
      return DatasetColumn(name: "text_position_ids", type: .array(.int32), shape: [tokens])
    case .kinds:
      return DatasetColumn(name: "mm_token_type_ids", type: .array(.uint8), shape: [tokens])
    case .grids:
      return DatasetColumn(name: "image_grid_thw", type: .array(.int32), shape: [nil, 3])
    case .spans: return DatasetColumn(name: "image_spans", type: .array(.int32), shape: [nil, 2])
    case .ends: return DatasetColumn(name: "doc_ends", type: .array(.int32), shape: [nil])
    case .imageCodes: return DatasetColumn(name: "image_codes", type: .array(.int32), shape: [nil])
    }
  }

  func cell(of sequence: TokenSequence, _ stage: SequenceStage) -> DatasetCell {
    func numbers(_ values: [Int32]) -> DatasetCell {
      DatasetCell(shape: [values.count], elements: values)
    }
    switch self {
    case .ids: return numbers(sequence.ids)
    case .labels: return numbers(sequence.labels)
    case .lossMask:
      let mask = sequence.isLearned.map { $0 ? 1 : 0 as UInt8 }
      return DatasetCell(shape: [mask.count], elements: mask)
    case .positions:
      let shape: Shape = [sequence.positions.count, sequence.ids.count]
      if stage.scheme?.name.isFractional ?? false {
        return DatasetCell(shape: shape, elements: Array(sequence.positions.joined()))
      }
      return DatasetCell(shape: shape, elements: sequence.positions.joined().map { Int32($0) })
    case .textPositions: return numbers(sequence.textPositions)
    case .kinds: return DatasetCell(shape: [sequence.kinds.count], elements: sequence.kinds)
    case .grids:
      let grids: [Int32] = sequence.grids.flatMap { [1, Int32($0.height), Int32($0.width)] }
      return DatasetCell(shape: [sequence.grids.count, 3], elements: grids)
    case .spans:
      let spans: [Int32] = sequence.spans.flatMap { [Int32($0.start), Int32($0.start + $0.count)] }
      return DatasetCell(shape: [sequence.spans.count, 2], elements: spans)
    case .ends: return numbers(sequence.documentEnds.map { Int32($0) })
    case .imageCodes: return numbers(sequence.imageCodes)
    }
  }
}
