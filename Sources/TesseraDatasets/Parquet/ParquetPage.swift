import TesseraCore

/// The only page of a column chunk, read a row at a time.
struct ParquetPage {
  private let place: String
  private let rank: Int
  private let kind: ParquetLayout.Kind
  private var repetitions: Runs
  private var definitions: Runs
  private let values: ArraySlice<UInt8>
  private var next: Int
  /// The bytes of the page, unpacked.
  let byteCount: Int

  private static let largest = 1 << 31
  /// Tessera's groups of rows hold 16 MiB and a row.
  private static let usual = 1 << 26

  init(
    _ metadata: ThriftValue,
    of file: FileRegion,
    place: String,
    _ rank: Int,
    _ kind: ParquetLayout.Kind
  ) throws {
    (self.place, self.rank, self.kind) = (place, rank, kind)
    let damage = TesseraError.malformed("no plain page as Tessera writes it", file: place)
    guard let start = metadata[9]?.integer, (0...file.length).contains(start),
      metadata[1]?.integer == kind.physical
    else { throw damage }
    let page = try ParquetStoredPage(of: file, at: start, largest: Self.largest, place: place)
    let raw = page.unpackedSize
    guard page.kind == 0, page.header[5]?[2]?.integer == 0,
      let codec = metadata[4]?.integer,
      codec == ParquetLayout.zstdCodec || codec == ParquetLayout.plainCodec
    else { throw damage }
    guard raw <= Self.usual || raw / 100 <= page.bytes.count else {
      throw TesseraError.malformed(
        "\(page.bytes.count) bytes that claim to unpack to \(raw)",
        file: place
      )
    }
    let data = try page.unpacked(codec: codec)
    var rest = data[...]
    repetitions = rank > 0 ? try Runs(&rest, place: place) : Runs()
    definitions = try Runs(&rest, place: place)
    values = rest
    next = rest.startIndex
    byteCount = raw
  }

  /// The next text.
  mutating func text() throws -> DatasetCell {
    _ = try definitions.next(place)
    guard next + 4 <= values.endIndex else { throw damage() }
    let size = Int(
      DatasetCell(shape: [], bytes: Array(values[next..<next + 4])).elements(as: UInt32.self)[0]
    )
    guard size <= values.endIndex - next - 4 else { throw damage() }
    defer { next += 4 + size }
    return DatasetCell(shape: [], bytes: Array(values[next + 4..<next + 4 + size]))
  }

  /// The next array.
  mutating func array(of column: DatasetColumn) throws -> DatasetCell {
    let shape = rank == 0 ? try scalar() : try shape(of: column)
    guard let type = kind.stored, let count = shape.elementCount,
      let size = type.byteCount(elements: count), size <= values.endIndex - next
    else { throw damage() }
    let bytes = Array(values[next..<next + size])
    next += size
    let cell = DatasetCell(
      shape: shape,
      bytes: try bytes.converted(from: type, to: column, place: place)
    )
    guard column.fits(cell) else { throw damage() }
    return cell
  }

  private mutating func scalar() throws -> Shape {
    _ = try definitions.next(place)
    return []
  }

  /// The extents of the next row: how many levels repeat at each axis, and how deep the last is.
  ///
  /// Behind an axis without elements nothing tells the extents but the column.
  private mutating func shape(of column: DatasetColumn) throws -> Shape {
    guard try repetitions.next(place) == 0 else { throw damage() }
    let definition = try definitions.next(place)
    var counts = [Int](repeating: 1, count: rank + 1)
    while let level = repetitions.peek, level > 0 {
      guard level <= rank else { throw damage() }
      let run = repetitions.takeRun()
      try definitions.skip(run, place)
      for axis in level...rank { counts[axis] += run }
    }
    let empty = definition < 2 * rank + 1 ? (definition - 1) / 2 : nil
    var extents: [Int] = []
    for axis in 0..<rank {
      if let empty, axis >= empty {
        extents.append(axis == empty ? 0 : column.shape[axis] ?? 0)
        continue
      }
      guard counts[axis] > 0, counts[axis + 1] % counts[axis] == 0 else { throw damage() }
      extents.append(counts[axis + 1] / counts[axis])
    }
    return Shape(extents)
  }

  private func damage() -> TesseraError {
    TesseraError.malformed("its levels and its values do not fit together", file: place)
  }

  /// Levels as runs.
  private struct Runs {
    private var rest: ArraySlice<UInt8> = []
    private var level = 0
    private var left = 0

    init() {}

    init(_ data: inout ArraySlice<UInt8>, place: String) throws {
      let damage = TesseraError.malformed("a page without levels", file: place)
      let size = try data.popLength(orElse: damage)
      guard size <= data.count else { throw damage }
      rest = data.prefix(size)
      data = data.dropFirst(size)
      load()
    }

    /// The level of the next value; nil at the end.
    var peek: Int? { left > 0 ? level : nil }

    private mutating func load() {
      while left == 0, !rest.isEmpty {
        guard let head = rest.popVarint(), head & 1 == 0, head >> 1 <= 1 << 31 else {
          rest = []
          return
        }
        level = Int(rest.popFirst() ?? 0)
        left = Int(head >> 1)
      }
    }

    mutating func next(_ place: String) throws -> Int {
      guard left > 0 else { throw TesseraError.malformed("fewer levels than rows", file: place) }
      let level = level
      left -= 1
      if left == 0 { load() }
      return level
    }

    /// Takes all that is left of the current run.
    mutating func takeRun() -> Int {
      let run = left
      left = 0
      load()
      return run
    }

    mutating func skip(_ count: Int, _ place: String) throws {
      var rest = count
      while rest > 0 {
        guard left > 0 else {
          throw TesseraError.malformed("fewer levels than values", file: place)
        }
        let part = min(rest, left)
        rest -= part
        left -= part
        if left == 0 { load() }
      }
    }
  }
}
