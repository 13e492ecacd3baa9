import Foundation
import TesseraCore

/// Rows with some of their columns alone.
package struct SelectedRows: DatasetRows {
  /// The columns that are left.
  package let table: DatasetTable
  private let source: any DatasetRows
  private let indices: [Int]

  /// Keeps the columns of these names, in the order of the table.
  package init(_ source: any DatasetRows, keeping names: Set<String>) {
    self.source = source
    indices = source.table.columns.indices.filter {
      names.contains(source.table.columns[$0].name)
    }
    table = DatasetTable(
      columns: indices.map { source.table.columns[$0] },
      vocabularySize: source.table.vocabularySize
    )
  }

  /// Hands over each row once, in order.
  package func forEach(_ body: (DatasetRow) throws -> Void) throws {
    try source.forEach { row in
      try body(DatasetRow(key: row.key, cells: indices.map { row.cells[$0] }))
    }
  }
}

/// Rows whose codes begin at another number of the vocabulary.
package struct OffsetRows: DatasetRows {
  /// The table with the type that holds the new codes.
  package let table: DatasetTable
  private let source: any DatasetRows
  private let column: Int
  private let old: ElementType
  private let new: ElementType
  private let difference: Int64
  /// The codes of the source: from its offset to the end of its vocabulary.
  private let codes: (first: Int64, end: Int64)

  /// Moves the codes; nil where the rows have none.
  ///
  /// - Parameters:
  ///   - source: Rows with a column `codes`.
  ///   - offset: What was added to the codes.
  ///   - newOffset: What will be added instead.
  package init?(_ source: any DatasetRows, from offset: Int, to newOffset: Int) {
    guard let column = source.table.index(of: "codes"),
      let old = source.table.columns[column].type.elementType
    else { return nil }
    let size = source.table.vocabularySize - offset + newOffset
    guard size > 0 else { return nil }
    (self.source, self.column, self.old) = (source, column, old)
    new = ElementType.unsigned(holding: UInt64(size))
    difference = Int64(newOffset - offset)
    codes = (Int64(offset), Int64(source.table.vocabularySize))
    var table = source.table
    table.vocabularySize = size
    table.columns[column].type = .array(new)
    self.table = table
  }

  /// Hands over each row once, in order.
  package func forEach(_ body: (DatasetRow) throws -> Void) throws {
    try source.forEach { row in
      var row = row
      do {
        let values = try ElementConversion.integers(row.cells[column].bytes, of: old)
        if let code = values.first(where: { $0 < codes.first || $0 >= codes.end }) {
          throw ElementConversion.Misfit(value: "\(code)", type: new)
        }
        let moved = values.map { $0 + difference }
        let wide = DatasetCell(shape: [moved.count], elements: moved).bytes
        row.cells[column].bytes = try ElementConversion.convert(wide, from: .int64, to: new)
      } catch let error as ElementConversion.Misfit {
        throw TesseraError.malformed(
          "its code \(error.value) is outside the vocabulary of the dataset",
          file: row.key
        )
      }
      try body(row)
    }
  }
}

/// Rows in an order that a seed fixes.
///
/// The rows are written into a file without a name first, so that memory does not grow with them.
package struct ShuffledRows: DatasetRows {
  /// The source's columns.
  package let table: DatasetTable
  private let source: any DatasetRows
  private let seed: UInt64

  /// Shuffles rows.
  package init(_ source: any DatasetRows, seed: UInt64) {
    self.source = source
    table = source.table
    self.seed = seed
  }

  /// Hands over each row once, in the order of the seed.
  package func forEach(_ body: (DatasetRow) throws -> Void) throws {
    var offsets: [UInt64] = [0]
    let spool = try FileRegion(temporaryFor: "the shuffled rows") { append in
      var pending: [UInt8] = []
      try source.forEach { row in
        let bytes = Self.bytes(of: row)
        offsets.append((offsets.last ?? 0) + UInt64(bytes.count))
        pending += bytes
        if pending.count >= 1 << 20 {
          try append(pending[...])
          pending.removeAll(keepingCapacity: true)
        }
      }
      try append(pending[...])
    }
    let order = Permutation(count: offsets.count - 1, seed: seed)
    for position in 0..<order.count {
      let index = order[position]
      let bytes = try spool.bytes(Int(offsets[index])..<Int(offsets[index + 1]))
      try body(Self.row(of: bytes, columns: table.columns.count))
    }
  }

  static func bytes(of row: DatasetRow) -> [UInt8] {
    var numbers: [Int64] = [Int64(row.key.utf8.count)]
    for cell in row.cells {
      numbers += [Int64(cell.shape.rank)] + cell.shape.dimensions.map(Int64.init)
      numbers.append(Int64(cell.bytes.count))
    }
    numbers.insert(Int64(numbers.count), at: 0)
    return DatasetCell(shape: [numbers.count], elements: numbers).bytes + Array(row.key.utf8)
      + row.cells.flatMap(\.bytes)
  }

  static func row(of bytes: [UInt8], columns: Int) -> DatasetRow {
    let first = DatasetCell(shape: [], bytes: Array(bytes[..<8])).elements(as: Int64.self)[0]
    let head = DatasetCell(shape: [], bytes: Array(bytes[8..<8 + 8 * Int(first)]))
      .elements(as: Int64.self).map(Int.init)
    var data = 8 + 8 * Int(first)
    func take(_ count: Int) -> [UInt8] {
      defer { data += count }
      return Array(bytes[data..<data + count])
    }
    let key = String(decoding: take(head[0]), as: UTF8.self)
    var next = 1
    let cells = (0..<columns).map { _ in
      let rank = head[next]
      let shape = Shape(Array(head[next + 1..<next + 1 + rank]))
      let count = head[next + 1 + rank]
      next += rank + 2
      return DatasetCell(shape: shape, bytes: take(count))
    }
    return DatasetRow(key: key, cells: cells)
  }
}

/// A permutation of the first numbers that a seed fixes and that takes no memory: a Feistel network
/// over the next power of four, walked until the number is in range.
package struct Permutation {
  package let count: Int
  private let seed: UInt64
  private let halfBits: UInt64

  package init(count: Int, seed: UInt64) {
    (self.count, self.seed) = (count, seed)
    var bits: UInt64 = 1
    while bits < 31, 1 << (2 * bits) < UInt64(count) { bits += 1 }
    halfBits = bits
  }

  /// The number at a position.
  package subscript(position: Int) -> Int {
    var value = UInt64(position)
    repeat { value = step(value) } while value >= UInt64(count)
    return Int(value)
  }

  private func step(_ value: UInt64) -> UInt64 {
    let mask: UInt64 = (1 << halfBits) - 1
    var (left, right) = (value >> halfBits, value & mask)
    for round in 0..<6 as Range<UInt64> {
      (left, right) = (right, left ^ (Self.mix(right &+ Self.mix(seed &+ round)) & mask))
    }
    return left << halfBits | right
  }

  /// The finalizer of splitmix64.
  private static func mix(_ value: UInt64) -> UInt64 {
    var mixed = value &+ 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
