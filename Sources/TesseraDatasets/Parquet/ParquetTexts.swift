import TesseraCore

/// Columns of text in a Parquet file of anyone's: plain and dictionary pages and those of lengths and
/// differences, of both versions, uncompressed, snappy, gzip or zstd.
struct ParquetTexts {
  private let file: FileRegion
  private let footer: ParquetFooter
  /// The columns.
  let columns: [ParquetFooter.Column]

  /// Opens a file.
  ///
  /// - Throws: `TesseraError` where it is no Parquet.
  init(path: String) throws {
    file = try FileRegion(path: path)
    footer = try ParquetFooter(of: file)
    columns = try footer.columns()
  }

  /// Hands over the texts of each row in order; nil where a row has none.
  ///
  /// - Parameters:
  ///   - names: Columns of the file.
  ///   - body: Takes the number of the row, from 1, and a text a column.
  /// - Throws: `TesseraError` where pages are damaged, and what `body` throws.
  func forEach(_ names: [String], _ body: (Int, [String?]) throws -> Void) throws {
    let chosen = try names.map { name in
      guard let column = columns.first(where: { $0.name == name }), column.isText else {
        throw TesseraError.malformed(
          "not a column of text; rename it, or write one text a row",
          file: "\(file.name): \(name)"
        )
      }
      return column
    }
    var allowance = ParquetAllowance(ofFileOf: file.length)
    var row = 0
    for group in footer.groups {
      let chunks = try footer.chunks(of: group)
      let rows = group[3]?.integer ?? -1
      let texts = try chosen.map { column in
        let place = "\(file.name): \(column.name)"
        guard let chunk = chunks[column.name] else {
          throw TesseraError.malformed("a group of rows lacks the column", file: place)
        }
        var reader = ParquetTextChunk(
          file,
          place: place,
          isOptional: column.repetition == 1,
          allowance: allowance
        )
        let texts = try reader.texts(of: chunk)
        allowance = reader.allowance
        guard texts.count == rows else {
          throw TesseraError.malformed("\(texts.count) values for \(rows) rows", file: place)
        }
        return texts
      }
      for index in 0..<max(0, rows) {
        row += 1
        try body(row, texts.map { $0[index] })
      }
    }
  }
}

/// The pages of one column in one group of rows.
private struct ParquetTextChunk {
  private let file: FileRegion
  private let place: String
  private let isOptional: Bool
  private(set) var allowance: ParquetAllowance
  /// The texts of the dictionary, once each however many rows have them.
  private var dictionary: [String] = []
  private var texts: [String?] = []

  private static let largest = 1 << 28
  private static let mostRows = 1 << 31

  init(_ file: FileRegion, place: String, isOptional: Bool, allowance: ParquetAllowance) {
    (self.allowance, self.file, self.place, self.isOptional) = (allowance, file, place, isOptional)
  }

  private func damage(_ reason: String = "a damaged page") -> TesseraError {
    TesseraError.malformed(reason, file: place)
  }

  /// The values of a column chunk.
  mutating func texts(of metadata: ThriftValue) throws -> [String?] {
    guard let count = metadata[5]?.integer, (0...Self.mostRows).contains(count),
      let data = metadata[9]?.integer, let codec = metadata[4]?.integer
    else { throw damage("a column without pages") }
    try allowance.take(rows: count, place: place)
    // Some writers say 0 where there is no dictionary.
    var position = metadata[11]?.integer.flatMap { $0 > 0 ? min($0, data) : nil } ?? data
    while texts.count < count {
      let page = try ParquetStoredPage(of: file, at: position, largest: Self.largest, place: place)
      let before = texts.count
      try read(page, codec: codec, most: count - texts.count)
      position = page.end
      guard texts.count > before || page.kind != 0 else { throw damage("an empty page") }
    }
    return texts
  }

  private mutating func read(_ stored: ParquetStoredPage, codec: Int, most: Int) throws {
    switch stored.kind {
    case 0:
      guard let page = stored.header[5], let count = page[1]?.integer, (0...most).contains(count),
        let encoding = page[2]?.integer
      else { throw damage() }
      var data = try unpack(stored, codec)[...]
      var levels: ArraySlice<UInt8>?
      if isOptional {
        guard page[3]?.integer == 3 else { throw damage("levels in bits, which is not read") }
        let size = try data.popLength(orElse: damage())
        guard size <= data.count else { throw damage() }
        levels = data.prefix(size)
        data = data.dropFirst(size)
      }
      try append(data, encoding, levels: levels, count: count)
    case 2:
      guard let count = stored.header[7]?[1]?.integer, (0...Self.mostRows).contains(count) else {
        throw damage("a damaged dictionary")
      }
      var data = try unpack(stored, codec)[...]
      dictionary = try plain(&data, count: count).map(text)
    case 3:
      guard let page = stored.header[8], let count = page[1]?.integer, (0...most).contains(count),
        let encoding = page[4]?.integer, let levels = page[5]?.integer, page[6]?.integer ?? 0 == 0,
        (0...min(stored.bytes.count, stored.unpackedSize)).contains(levels)
      else { throw damage() }
      let isPacked = page[7]?.integer ?? 1 == 1
      let data =
        isPacked ? try unpack(stored, from: levels, codec) : Array(stored.bytes[levels...])
      let definitions = isOptional ? stored.bytes[..<levels] : nil
      try append(data[...], encoding, levels: definitions, count: count)
      guard count > 0 else { throw damage("an empty page") }
    default: break  // Indices and kinds that are not known contain no rows.
    }
  }

  private mutating func unpack(
    _ page: ParquetStoredPage,
    from start: Int = 0,
    _ codec: Int
  ) throws -> [UInt8] {
    // The page, and the texts made of it.
    try allowance.take(bytes: 2 * (page.unpackedSize - start), place: place)
    return try page.unpacked(from: start, codec: codec)
  }

  /// Takes the values of a page in; a level of 0 is a row without one.
  private mutating func append(
    _ data: ArraySlice<UInt8>,
    _ encoding: Int,
    levels: ArraySlice<UInt8>?,
    count: Int
  ) throws {
    var isThere = [Bool](repeating: true, count: count)
    if let levels {
      var numbers = PackedIntegers(levels, width: 1, place: place)
      for index in 0..<count { isThere[index] = try numbers.next() == 1 }
    }
    let present = isThere.count { $0 }
    let values: [String] = try values(data, encoding, count: present)
    guard values.count == present else { throw damage("fewer values than rows") }
    var next = values.startIndex
    for isThere in isThere {
      guard isThere else {
        texts.append(nil)
        continue
      }
      texts.append(values[next])
      next += 1
    }
  }

  private func text(_ bytes: ArraySlice<UInt8>) throws -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw damage("after row \(texts.count) of a group: a text that is not UTF-8")
    }
    return text
  }

  private mutating func values(
    _ data: ArraySlice<UInt8>,
    _ encoding: Int,
    count: Int
  ) throws -> [String] {
    var data = data
    switch encoding {
    case 0: return try plain(&data, count: count).map(text)
    case 2, 8:
      guard count > 0 else { return [] }
      guard let width = data.popFirst(), width <= 32 else { throw damage() }
      var numbers = PackedIntegers(data, width: Int(width), place: place)
      return try (0..<count).map { _ in
        let index = Int(try numbers.next())
        guard index < dictionary.count else { throw damage("a value beyond its dictionary") }
        return dictionary[index]
      }
    case 6: return try lengths(&data, count: count).map(text)
    case 7: return try extended(&data, count: count)
    default: throw damage("values of the encoding \(encoding), which is not read")
    }
  }

  /// Each value as how much it shares with the one before, and its end.
  private mutating func extended(
    _ data: inout ArraySlice<UInt8>,
    count: Int
  ) throws -> [String] {
    let shared = try PackedDifferences.take(&data, most: count, place: place)
    let ends = try lengths(&data, count: count)
    guard shared.count == ends.count else { throw damage() }
    var texts: [String] = []
    texts.reserveCapacity(ends.count)
    var last: ArraySlice<UInt8> = []
    for (shared, end) in zip(shared, ends) {
      guard (0...last.count).contains(shared) else { throw damage() }
      try allowance.take(bytes: shared + end.count, place: place)
      last = shared == 0 ? end : last.prefix(shared) + end
      texts.append(try text(last))
    }
    return texts
  }

  /// Each value behind its length.
  private func plain(
    _ data: inout ArraySlice<UInt8>,
    count: Int
  ) throws -> [ArraySlice<UInt8>] {
    guard count <= data.count / 4 else { throw damage("fewer values than rows") }
    var values: [ArraySlice<UInt8>] = []
    values.reserveCapacity(count)
    for _ in 0..<count {
      let size = try data.popLength(orElse: damage())
      guard size <= data.count else { throw damage("a text beyond its page") }
      values.append(data.prefix(size))
      data = data.dropFirst(size)
    }
    return values
  }

  /// All lengths, then the values.
  private func lengths(
    _ data: inout ArraySlice<UInt8>,
    count: Int
  ) throws -> [ArraySlice<UInt8>] {
    let sizes = try PackedDifferences.take(&data, most: count, place: place)
    return try sizes.map { size in
      guard (0...data.count).contains(size) else { throw damage("a text beyond its page") }
      defer { data = data.dropFirst(size) }
      return data.prefix(size)
    }
  }
}
