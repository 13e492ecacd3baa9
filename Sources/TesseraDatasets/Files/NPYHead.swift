import TesseraCore

/// The heads of one column's `.npy` files, kept from one sample to the next: equal extents have equal ones.
struct NPYHead {
  private var shape: Shape?
  private var bytes: [UInt8] = []

  /// What stands before a cell's bytes; nothing before text.
  ///
  /// - Throws: `TesseraError` for a type that .npy has no name for.
  mutating func bytes(of cell: DatasetCell, _ column: StoredTable.Column, _ stored: StoredTable)
    throws -> [UInt8]
  {
    guard let type = column.type.elementType else { return [] }
    if shape == cell.shape { return bytes }
    guard let encoded = NPYHeader(elementType: type, shape: cell.shape)?.encoded else {
      throw stored.refusal("no .npy file holds \(type.rawValue) ('\(column.name)')")
    }
    (shape, bytes) = (cell.shape, encoded)
    return encoded
  }
}
