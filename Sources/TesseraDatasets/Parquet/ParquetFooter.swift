import TesseraCore

/// The end of a Parquet file: its columns and where their pages lie.
struct ParquetFooter {
  /// The groups of rows.
  let groups: [ThriftValue]
  private let schema: [ThriftValue]
  private let name: String

  private static let longest = 1 << 26

  /// Reads the footer of a file.
  ///
  /// - Throws: `TesseraError` where there is none.
  init(of file: FileRegion) throws {
    name = file.name
    func damage(_ reason: String) -> TesseraError {
      TesseraError.malformed(reason, file: file.name)
    }
    guard file.length >= 12 else { throw damage("too short for Parquet") }
    let tail = try file.bytes(file.length - 8..<file.length)
    let size = Int(DatasetCell(shape: [], bytes: Array(tail[..<4])).elements(as: UInt32.self)[0])
    guard Array(tail[4...]) == ParquetLayout.magic, size <= min(Self.longest, file.length - 12)
    else { throw damage("no footer of Parquet's") }
    let bytes = try file.bytes(file.length - 8 - size..<file.length - 8)
    var reader = ThriftCompactReader(bytes[...], place: file.name)
    let metadata = try reader.structure()
    groups = metadata[4]?.list ?? []
    schema = metadata[2]?.list ?? []
  }

  /// One column of the file that is no part of another.
  struct Column {
    let name: String
    let physical: Int?
    /// 0: every row has a value, 1: some may have none, 2: lists.
    let repetition: Int

    private static let byteArray = 6

    /// Whether each row has one text, or none.
    var isText: Bool { physical == Self.byteArray && repetition < 2 }
  }

  /// The columns of the file; those that have parts have no physical type.
  func columns() throws -> [Column] {
    var columns: [Column] = []
    var index = 1
    for _ in 0..<max(0, schema.first?[5]?.integer ?? 0) {
      guard index < schema.count, case .binary(let name)? = schema[index][4] else {
        throw TesseraError.malformed("its schema has fewer columns than it says", file: self.name)
      }
      let isWhole = schema[index][5]?.integer ?? 0 == 0
      columns.append(
        Column(
          name: String(decoding: name, as: UTF8.self),
          physical: isWhole ? schema[index][1]?.integer : nil,
          repetition: schema[index][3]?.integer ?? 0
        )
      )
      // A column's parts stand behind it, each with its own: their number is what is left to skip.
      var left = 1
      while left > 0, index < schema.count {
        let parts = schema[index][5]?.integer ?? 0
        guard (0...schema.count).contains(parts) else {
          throw TesseraError.malformed("its schema is damaged", file: self.name)
        }
        left += parts - 1
        index += 1
      }
    }
    return columns
  }

  /// The chunks of a group by the name of their column; of one with parts, that of the last part.
  func chunks(of group: ThriftValue) throws -> [String: ThriftValue] {
    var chunks: [String: ThriftValue] = [:]
    for chunk in group[1]?.list ?? [] {
      guard let metadata = chunk[3], let path = metadata[3]?.list, !path.isEmpty else {
        throw TesseraError.malformed("a column without a name", file: name)
      }
      guard chunk[1] == nil else {
        throw TesseraError.malformed(
          "its columns lie in other files, which is not read",
          file: name
        )
      }
      if case .binary(let name) = path[0] {
        chunks[String(decoding: name, as: UTF8.self)] = metadata
      }
    }
    return chunks
  }
}
