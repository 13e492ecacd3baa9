package import TesseraCore

/// What a reader and a writer of Megatron's `.idx` share.
package enum MegatronIndex {
  /// The first nine bytes.
  package static let magic = Array("MMIDIDX\0\0".utf8)
  /// The bytes before the lengths: magic, version, type, number of sequences and of documents.
  static let headerSize = 34
  /// Types by their codes; there is no uint32.
  private static let codes: [(code: UInt8, type: ElementType)] = [
    (1, .uint8), (2, .int8), (3, .int16), (4, .int32), (5, .int64), (6, .float64), (7, .float32),
    (8, .uint16),
  ]
  /// Megatron's own limit for uint16; between it and 65,536 two of its readers disagree.
  package static let uint16Limit = 65_500

  /// The code of a type; nil for one that the format lacks.
  package static func code(of type: ElementType) -> UInt8? {
    codes.first { $0.type == type }?.code
  }

  /// The type of a code.
  static func type(of code: UInt8) -> ElementType? { codes.first { $0.code == code }?.type }

  /// The type of token ids below a number.
  package static func tokenType(vocabularySize: Int) -> ElementType {
    vocabularySize < uint16Limit ? .uint16 : vocabularySize <= 1 << 31 ? .int32 : .int64
  }

  /// The type in which a column beside the tokens is stored; nil where there is none.
  package static func sideType(of type: ElementType) -> ElementType? {
    switch type {
    case .bool: .uint8
    case .uint32: .int32
    case .uint64: .int64
    default: code(of: type) == nil ? nil : type
    }
  }
}

/// The samples of Megatron's `.bin` files.
struct MegatronRows: DatasetRows {
  let table: DatasetTable
  private let folder: String
  private let layout: FlatLayout
  private let names: [Int: String]

  init(_ dataset: TokenDataset, _ record: DatasetLayout) throws {
    table = record.table
    folder = dataset.path
    layout = try FlatLayout(of: table, in: folder)
    names = record.storedNames(of: layout.aligned)
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    var lines = try SampleLines(folder: folder, layout: layout, table: table)
    var tokens = try MegatronStream("tokens", in: folder)
    var sides: [(index: Int, streams: [MegatronStream])] = []
    if let positions = layout.positions {
      let streams = try (0..<positions.axes).map {
        try MegatronStream("position_\($0)", in: folder)
      }
      sides.append((positions.column, streams))
    }
    for (index, name) in names {
      sides.append((index, [try MegatronStream(name, in: folder)]))
    }
    while let next = try lines.next() {
      var row = next.row
      row.cells[layout.token] = DatasetCell(
        shape: next.tokens,
        bytes: try tokens.next(next.count, as: table.columns[layout.token])
      )
      for side in sides.indices {
        let index = sides[side].index
        var bytes: [UInt8] = []
        for axis in sides[side].streams.indices {
          bytes += try sides[side].streams[axis].next(next.count, as: table.columns[index])
        }
        let isPositions = layout.positions?.column == index
        let axes = sides[side].streams.count
        row.cells[index] = DatasetCell(
          shape: isPositions ? [axes, next.count] : [next.count],
          bytes: bytes
        )
      }
      try body(row)
    }
    guard tokens.isAtEnd else {
      throw TesseraError.malformed("more sequences than samples.jsonl has lines", file: folder)
    }
  }
}

/// One `.bin`, read along its `.idx`.
private struct MegatronStream {
  private var data: FileStream
  private var lengths: FileStream
  private let type: ElementType
  private var rest: Int

  init(_ name: String, in folder: String) throws {
    data = try FileStream(path: TokenDataset.file(name + ".bin", in: folder))
    lengths = try FileStream(path: TokenDataset.file(name + ".idx", in: folder))
    guard try lengths.next(9) == MegatronIndex.magic, try lengths.integer(UInt64.self) == 1,
      let type = MegatronIndex.type(of: try lengths.integer(UInt8.self))
    else { throw lengths.damage("no index of Megatron's") }
    self.type = type
    rest = try lengths.count()
    try lengths.seek(to: MegatronIndex.headerSize)
    guard rest <= lengths.rest / 12 else { throw lengths.damage("\(rest) sequences do not fit") }
  }

  var isAtEnd: Bool { rest == 0 && data.rest == 0 }

  /// The numbers of the next sequence, which has to have so many.
  mutating func next(_ count: Int, as column: DatasetColumn) throws -> [UInt8] {
    guard rest > 0, try Int(lengths.integer(UInt32.self)) == count else {
      throw lengths.damage("another length than samples.jsonl says")
    }
    rest -= 1
    let bytes = try data.next(count * type.bitWidth / 8)
    return try bytes.converted(from: type, to: column, place: data.name)
  }
}

extension [UInt8] {
  /// Numbers of a file in the type that their column had before.
  func converted(
    from type: ElementType,
    to column: DatasetColumn,
    place: String
  ) throws -> [UInt8] {
    guard let wanted = column.type.elementType else { return self }
    guard count.isMultiple(of: type.bitWidth / 8) else {
      throw TesseraError.malformed("\(count) bytes are no whole \(type.rawValue)", file: place)
    }
    do {
      return try ElementConversion.convert(self, from: type, to: wanted)
    } catch {
      throw TesseraError.malformed(
        "\(error.value) of '\(column.name)' does not fit \(wanted.rawValue)",
        file: place
      )
    }
  }
}
