/// Rows by name, in any order: they are written into a file without a name first, so that memory grows
/// with the names alone.
public struct IndexedRows: Sendable {
  /// The columns of every row.
  public let table: DatasetTable
  private let spool: FileRegion
  private let offsets: [UInt64]
  private let places: [String: Int]

  /// Reads all rows once.
  ///
  /// - Parameter source: Rows, found again by key and by their column `source`.
  /// - Throws: What the source throws, and `FileError`.
  public init(_ source: any DatasetRows) throws {
    table = source.table
    let sourceColumn = table.index(of: "source")
    var offsets: [UInt64] = [0]
    var places: [String: Int] = [:]
    spool = try FileRegion(temporaryFor: "the images of documents") { append in
      try source.forEach { row in
        let bytes = ShuffledRows.bytes(of: row)
        let index = offsets.count - 1
        if let sourceColumn { places[row.cells[sourceColumn].text] = index }
        // A path is what people write; a key counts where no path is equal.
        if places[row.key] == nil { places[row.key] = index }
        offsets.append((offsets.last ?? 0) + UInt64(bytes.count))
        try append(bytes[...])
      }
    }
    self.offsets = offsets
    self.places = places
  }

  /// The row of a key or a source; nil where there is none.
  ///
  /// - Throws: `FileError`.
  public func row(named name: String) throws -> DatasetRow? {
    let plain = name.hasPrefix("./") ? String(name.dropFirst(2)) : name
    guard let index = places[plain] else { return nil }
    let bytes = try spool.bytes(Int(offsets[index])..<Int(offsets[index + 1]))
    return ShuffledRows.row(of: bytes, columns: table.columns.count)
  }
}
