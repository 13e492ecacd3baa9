import TesseraCore

/// Rows by name or number, in any order: they are written into a file without a name first, so that memory grows
/// with the names alone.
package struct IndexedRows: Sendable {
  /// The columns of every row.
  package let table: DatasetTable
  private let spool: FileRegion
  private let offsets: [UInt64]
  private let places: [String: Int]

  /// How many there are.
  package var count: Int { offsets.count - 1 }

  /// Ends the reading where enough rows were read.
  private struct Enough: Error {}

  /// Reads rows once.
  ///
  /// - Parameters:
  ///   - source: Rows, found again by key and by their column `source`.
  ///   - limit: How many of them.
  /// - Throws: What the source throws, and `TesseraError`.
  package init(_ source: any DatasetRows, limit: Int = .max) throws {
    table = source.table
    let sourceColumn = table.index(of: "source")
    var offsets: [UInt64] = [0]
    var places: [String: Int] = [:]
    spool = try FileRegion(temporaryFor: "the images of documents") { write in
      var pending: [UInt8] = []
      func append(_ row: DatasetRow) throws {
        guard offsets.count <= limit else { throw Enough() }
        let bytes = ShuffledRows.bytes(of: row)
        let index = offsets.count - 1
        if let sourceColumn { places[row.cells[sourceColumn].text] = index }
        // A path is what people write; a key counts where no path is equal.
        if places[row.key] == nil { places[row.key] = index }
        offsets.append((offsets.last ?? 0) + UInt64(bytes.count))
        pending += bytes
        guard pending.count >= 1 << 20 else { return }
        try write(pending[...])
        pending.removeAll(keepingCapacity: true)
      }
      do { try source.forEach(append) } catch is Enough {}
      try write(pending[...])
    }
    (self.offsets, self.places) = (offsets, places)
  }

  /// The row of a key or a source; nil where there is none.
  ///
  /// - Throws: `TesseraError`.
  package func row(named name: String) throws -> DatasetRow? {
    let plain = name.hasPrefix("./") ? String(name.dropFirst(2)) : name
    return try places[plain].map(row)
  }

  /// The row of a number, which is below ``count``.
  ///
  /// - Throws: `TesseraError`.
  package func row(at index: Int) throws -> DatasetRow {
    let bytes = try spool.bytes(Int(offsets[index])..<Int(offsets[index + 1]))
    return ShuffledRows.row(of: bytes, columns: table.columns.count)
  }
}
