import TesseraCore

/// The samples of Arrow streams as Tessera writes them.
struct ArrowRows: DatasetRows {
  let table: DatasetTable
  private let files: [String]

  private static let longestHead = 1 << 26
  private static let largestBody = 1 << 34
  /// Kinds of messages; those of dictionaries are none of ours.
  private static let (schema, batch): (UInt8, UInt8) = (1, 3)

  init(_ dataset: TokenDataset, _ record: DatasetLayout) throws {
    table = record.table
    files = try dataset.manifest.shards.map { try dataset.file($0.name) }
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    for path in files {
      let file = try FileRegion(path: path)
      var position = 0
      while position + 8 <= file.length {
        let head = DatasetCell(shape: [], bytes: try file.bytes(position..<position + 8))
          .elements(as: UInt32.self)
        let (start, size) = (position + 8, Int(head[1]))
        guard head[0] == .max, size <= min(Self.longestHead, file.length - start) else {
          throw TesseraError.malformed("no Arrow message", file: "\(path): byte \(position)")
        }
        if size == 0 { break }
        let message = FlatBufferTable(root: try file.bytes(start..<start + size))
        guard let length = message?.long(3), (0...Self.largestBody).contains(length),
          length <= file.length - start - size, let header = message?.table(2)
        else { throw TesseraError.malformed("a damaged message", file: "\(path): byte \(start)") }
        let region = file.part(start + size..<start + size + length, name: path)
        switch message?.byte(1) {
        case Self.schema: break
        case Self.batch: try forEach(of: header, in: region, body)
        default: throw TesseraError.malformed("no rows or schema", file: "\(path): byte \(start)")
        }
        position = start + size + length
      }
    }
  }

  private func forEach(
    of batch: FlatBufferTable,
    in body: FileRegion,
    _ consume: (DatasetRow) throws -> Void
  ) throws {
    let damage = TesseraError.malformed("a damaged batch of rows", file: body.name)
    guard let rows = batch.long(0), let places = batch.pairs(2), rows >= 0 else { throw damage }
    guard batch.table(3) == nil else {
      throw TesseraError.malformed("a compressed batch of rows", file: body.name)
    }
    var next = 0
    // Buffers that share bytes would make many columns of a few.
    guard places.allSatisfy({ $0.1 >= 0 }),
      places.reduce(into: 0, { $0 = min($0, body.length) + min($1.1, body.length + 1) })
        <= body.length
    else { throw damage }
    func buffer() throws -> [UInt8] {
      guard next < places.count else { throw damage }
      let (offset, size) = places[next]
      next += 1
      guard offset >= 0, size >= 0, offset <= body.length, size <= body.length - offset else {
        throw damage
      }
      return try body.bytes(offset..<offset + size)
    }
    var keys = try Self.column(rank: 0, nil, buffer)
    var columns = try table.columns.map { column -> ArrowBuffers in
      let type = column.type.elementType.map { DatasetFormat.arrow.storedType(of: $0) }
      return try Self.column(rank: column.shape.count, type, buffer)
    }
    for _ in 0..<rows {
      guard let key = keys.text() else { throw damage }
      var row = DatasetRow(key: key.text, cells: [])
      for (index, column) in table.columns.enumerated() {
        guard let type = column.type.elementType else {
          guard let text = columns[index].text() else { throw damage }
          row.cells.append(text)
          continue
        }
        guard var cell = columns[index].array(of: column) else { throw damage }
        let stored = DatasetFormat.arrow.storedType(of: type)
        cell.bytes = try cell.bytes.converted(from: stored, to: column, place: body.name)
        guard column.fits(cell) else { throw damage }
        row.cells.append(cell)
      }
      try consume(row)
    }
  }

  private static func column(
    rank: Int,
    _ type: ElementType?,
    _ buffer: () throws -> [UInt8]
  ) throws -> ArrowBuffers {
    // Each list and each column of values begins with a buffer of validity, which is empty here.
    var offsets: [[Int32]] = []
    for _ in 0..<(type == nil ? 1 : rank) {
      _ = try buffer()
      offsets.append(DatasetCell(shape: [], bytes: try buffer()).elements())
    }
    if type != nil { _ = try buffer() }
    let width = (type?.bitWidth ?? 8) / 8
    return ArrowBuffers(offsets: offsets, values: try buffer(), width: width)
  }
}

/// The buffers of one column of a batch, read a row at a time.
private struct ArrowBuffers {
  let offsets: [[Int32]]
  let values: [UInt8]
  let width: Int
  private var row = 0

  init(offsets: [[Int32]], values: [UInt8], width: Int) {
    (self.offsets, self.values, self.width) = (offsets, values, width)
  }

  /// The items of a run of lists at an axis: where they start and end; nil where that is damaged.
  private func span(_ axis: Int, _ lists: Range<Int>) -> Range<Int>? {
    let ends = offsets[axis]
    guard lists.upperBound < ends.count else { return nil }
    let (start, end) = (Int(ends[lists.lowerBound]), Int(ends[lists.upperBound]))
    return start >= 0 && start <= end ? start..<end : nil
  }

  /// The next text; nil where the buffers are damaged.
  mutating func text() -> DatasetCell? {
    guard let span = span(0, row..<row + 1), span.upperBound <= values.count else { return nil }
    row += 1
    return DatasetCell(shape: [], bytes: Array(values[span]))
  }

  /// The next array; nil where the buffers are damaged or the lists of an axis differ in length.
  ///
  /// Behind an axis without elements nothing tells the extents but the column.
  mutating func array(of column: DatasetColumn) -> DatasetCell? {
    var lists = row..<row + 1
    var extents: [Int] = []
    for axis in offsets.indices {
      guard let items = span(axis, lists) else { return nil }
      guard !lists.isEmpty else {
        extents.append(column.shape[axis] ?? 0)
        continue
      }
      let extent = items.count / lists.count
      for list in lists where span(axis, list..<list + 1)?.count != extent { return nil }
      extents.append(extent)
      lists = items
    }
    row += 1
    guard lists.upperBound <= values.count / width else { return nil }
    let bytes = Array(values[lists.lowerBound * width..<lists.upperBound * width])
    return DatasetCell(shape: Shape(extents), bytes: bytes)
  }
}

/// A table of a FlatBuffer, every access checked against its end.
private struct FlatBufferTable {
  private let bytes: [UInt8]
  private let start: Int

  init?(root bytes: [UInt8]) {
    self.init(bytes, pointer: 0)
  }

  private init?(_ bytes: [UInt8], pointer: Int) {
    self.bytes = bytes
    guard let offset = Self.number(bytes, pointer, UInt32.self) else { return nil }
    start = pointer + Int(offset)
  }

  private static func number<Number: FixedWidthInteger>(
    _ bytes: [UInt8],
    _ offset: Int,
    _: Number.Type
  ) -> Number? {
    guard offset >= 0, offset <= bytes.count - Number.bitWidth / 8 else { return nil }
    return unsafe bytes.withUnsafeBytes { bytes in
      unsafe bytes.loadUnaligned(fromByteOffset: offset, as: Number.self)
    }
  }

  /// Where a field is; nil where the table does not have it.
  private func place(_ field: Int) -> Int? {
    guard let back = Self.number(bytes, start, Int32.self) else { return nil }
    let directory = start - Int(back)
    guard let size = Self.number(bytes, directory, UInt16.self), 4 + 2 * field < Int(size),
      let offset = Self.number(bytes, directory + 4 + 2 * field, UInt16.self), offset > 0
    else { return nil }
    return start + Int(offset)
  }

  func byte(_ field: Int) -> UInt8? {
    place(field).flatMap { Self.number(bytes, $0, UInt8.self) }
  }

  func long(_ field: Int) -> Int? {
    place(field).flatMap { Self.number(bytes, $0, Int64.self) }.map { Int($0) }
  }

  func table(_ field: Int) -> FlatBufferTable? {
    place(field).flatMap { FlatBufferTable(bytes, pointer: $0) }
  }

  func pairs(_ field: Int) -> [(Int, Int)]? {
    guard let place = place(field), let offset = Self.number(bytes, place, UInt32.self),
      let count = Self.number(bytes, place + Int(offset), UInt32.self)
    else { return nil }
    let first = place + Int(offset) + 4
    guard Int(count) <= (bytes.count - first) / 16 else { return nil }
    return (0..<Int(count)).compactMap { index in
      guard let one = Self.number(bytes, first + 16 * index, Int64.self),
        let two = Self.number(bytes, first + 16 * index + 8, Int64.self)
      else { return nil }
      return (Int(one), Int(two))
    }
  }
}
