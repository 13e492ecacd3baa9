package import TesseraCore

/// What a reader and a writer of Lightning's chunks share.
package enum LitdataChunk {
  /// Types in the order of their numbers.
  private static let types: [ElementType] = [
    .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64, .float16, .float32, .float64,
  ]

  /// The number of a type; nil for one that the format lacks.
  package static func number(of type: ElementType) -> Int? { types.firstIndex(of: type) }

  /// The type of token ids below a number, and the number that torch's tensors of it have.
  package static func tokenType(vocabularySize: Int) -> (type: ElementType, tensor: Int) {
    vocabularySize <= 1 << 16
      ? (.uint16, 20) : vocabularySize <= 1 << 31 ? (.int32, 16) : (.int64, 18)
  }
}

/// The samples of Lightning's chunks, whose items are dictionaries, or ids alone.
struct LitdataRows: DatasetRows {
  let table: DatasetTable
  private let folder: String
  private let files: [(path: String, samples: Int)]
  /// How the table divides where items are ids alone.
  private let tokens: FlatLayout?

  init(_ dataset: TokenDataset, _ record: DatasetLayout) throws {
    table = record.table
    folder = dataset.path
    let isTokens = dataset.manifest.settings.export?.variant == "tokens"
    tokens = isTokens ? try FlatLayout(of: table, in: folder) : nil
    files = try dataset.manifest.shards.map { (try dataset.file($0.name), $0.samples) }
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    guard let tokens else {
      return try forEachItem { item, place in try body(row(of: item, place: place)) }
    }
    var lines = try SampleLines(folder: folder, layout: tokens, table: table)
    let (type, _) = LitdataChunk.tokenType(vocabularySize: table.vocabularySize)
    try forEachItem { item, place in
      guard let next = try lines.next(), type.byteCount(elements: next.count) == item.count else {
        throw TesseraError.malformed("an item of another size than samples.jsonl says", file: place)
      }
      var row = next.row
      row.cells[tokens.token] = DatasetCell(
        shape: next.tokens,
        bytes: try item.converted(from: type, to: table.columns[tokens.token], place: place)
      )
      try body(row)
    }
    guard try lines.next() == nil else {
      throw TesseraError.malformed("fewer items than samples.jsonl says", file: folder)
    }
  }

  private func forEachItem(_ body: ([UInt8], String) throws -> Void) throws {
    for (path, samples) in files {
      var file = try FileStream(path: path)
      guard try Int(file.integer(UInt32.self)) == samples, samples < file.length / 4 else {
        throw file.damage("not \(samples) items as the manifest says")
      }
      let offsets = DatasetCell(shape: [], bytes: try file.next(4 * (samples + 1)))
        .elements(as: UInt32.self)
      guard offsets.first.map({ Int($0) == file.position }) ?? false else {
        throw file.damage("the first item does not follow the offsets")
      }
      for (start, end) in zip(offsets, offsets.dropFirst()) {
        guard start <= end else { throw file.damage("an item ends before it starts") }
        let item = try file.next(Int(end - start))
        try body(item, "\(path): byte \(start)")
      }
    }
  }

  private func row(of item: [UInt8], place: String) throws -> DatasetRow {
    let damaged = TesseraError.malformed("an item that is shorter than its leaves", file: place)
    let count = table.columns.count + 1
    guard item.count >= 4 * count else { throw damaged }
    let sizes = DatasetCell(shape: [], bytes: Array(item[..<(4 * count)])).elements(as: UInt32.self)
    var next = 4 * count
    var leaves: [[UInt8]] = []
    for size in sizes {
      guard Int(size) <= item.count - next else { throw damaged }
      leaves.append(Array(item[next..<next + Int(size)]))
      next += Int(size)
    }
    var row = DatasetRow(key: String(decoding: leaves[0], as: UTF8.self), cells: [])
    for (column, leaf) in zip(table.columns, leaves.dropFirst()) {
      row.cells.append(try cell(of: leaf, column, place: "\(place): \(column.name)"))
    }
    return row
  }

  private func cell(
    of leaf: [UInt8],
    _ column: DatasetColumn,
    place: String
  ) throws -> DatasetCell {
    guard let wanted = column.type.elementType else { return DatasetCell(shape: [], bytes: leaf) }
    var type = DatasetFormat.litdata.storedType(of: wanted)
    var shape: Shape = []
    var data = leaf
    switch column.shape.count {
    case 0: type = [.float32, .float64].contains(wanted) ? .float64 : .int64
    case 1: shape = [leaf.count / (type.bitWidth / 8)]
    default:
      let numbers = DatasetCell(shape: [], bytes: Array(leaf.prefix(leaf.count / 4 * 4)))
        .elements(as: UInt32.self)
      let rank = column.shape.count
      guard numbers.count >= 2 + rank, numbers[1] == UInt32(rank) else {
        throw TesseraError.malformed("another number of axes", file: place)
      }
      shape = Shape(numbers[2..<2 + rank].map { Int($0) })
      data = Array(leaf[(4 * (2 + rank))...])
    }
    let values = try data.converted(from: type, to: column, place: place)
    return try column.cell(values, shape: shape, place: place)
  }
}
