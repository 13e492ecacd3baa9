import TesseraCore

/// The samples of a dataset in tar shards: Tessera's own layout.
package struct WebDatasetRows: DatasetRows {
  /// The columns of every row.
  package let table: DatasetTable

  private let dataset: TokenDataset
  private let manifest: DatasetManifest
  /// The column of each member's extension; the JSON has none.
  private let members: [String: Int]
  private let metadata: MetadataJSON

  private static let json = "json"
  private static let text = "txt"

  /// Opens a dataset.
  ///
  /// - Parameter dataset: A dataset whose manifest was read.
  /// - Throws: `TesseraError` where the first sample is damaged.
  package init(_ dataset: TokenDataset) throws {
    self.dataset = dataset
    manifest = dataset.manifest
    table = try dataset.manifest.layout?.table ?? Self.table(of: dataset)
    let stored = dataset.manifest.layout?.storedTable ?? table
    var members: [String: Int] = [:]
    for (index, column) in stored.columns.enumerated() where !column.isMetadata {
      members[Self.member(of: column)] = index
    }
    self.members = members
    metadata = MetadataJSON(stored)
  }

  /// The extension of a column's member.
  package static func member(of column: DatasetColumn) -> String {
    switch column.type {
    case .array: "\(column.name).npy"
    case .text: column.name == "caption" ? text : "\(column.name).txt"
    case .json: "\(column.name).json"
    }
  }

  /// Hands over each sample once, in order.
  package func forEach(_ body: (DatasetRow) throws -> Void) throws {
    for shard in manifest.shards {
      var count = 0
      let path = try dataset.file(shard.name)
      try forEachSample(of: path) { row in
        count += 1
        try body(row)
      }
      guard count == shard.samples else {
        throw TesseraError.malformed(
          "\(count) samples where the manifest says \(shard.samples)",
          file: path
        )
      }
    }
  }

  private func forEachSample(of file: String, _ body: (DatasetRow) throws -> Void) throws {
    var stream = try TarMemberStream(path: file)
    var headers: [Int: ParsedHeader] = [:]
    let empty = DatasetCell(shape: [], bytes: [])
    var row = DatasetRow(key: "", cells: [])
    var seen = 0
    let expected = members.count + 1
    while let (name, data) = try stream.next() {
      guard let (key, member) = TokenDataset.split(name) else {
        throw stream.damage("member '\(name)' belongs to no sample")
      }
      if key != row.key {
        guard seen == 0 else { throw stream.damage("sample '\(row.key)' is incomplete") }
        row = DatasetRow(
          key: key,
          cells: [DatasetCell](repeating: empty, count: table.columns.count)
        )
      }
      try read(data, as: member, into: &row, headers: &headers, stream)
      seen += 1
      if seen == expected {
        try body(row)
        seen = 0
        row.key = ""
      }
    }
    guard seen == 0 else { throw stream.damage("sample '\(row.key)' is incomplete") }
  }

  private func read(
    _ data: [UInt8],
    as member: String,
    into row: inout DatasetRow,
    headers: inout [Int: ParsedHeader],
    _ stream: TarMemberStream
  ) throws {
    let place = "\(stream.name): \(row.key).\(member)"
    if member == Self.json {
      let key: String
      do {
        key = try metadata.read(data, into: &row.cells)
      } catch let error as JSONScanner.Failure {
        throw TesseraError.malformed(error.cause, file: "\(place): byte \(error.offset)")
      } catch let error as TesseraError {
        throw TesseraError.malformed(error.cause, file: place)
      }
      guard key == row.key else { throw TesseraError.malformed("its key is '\(key)'", file: place) }
      return
    }
    guard let index = members[member] else {
      throw TesseraError.malformed("the first sample has no such member", file: place)
    }
    let column = table.columns[index]
    guard let type = column.type.elementType else {
      row.cells[index] = DatasetCell(shape: [], bytes: data)
      return
    }
    let cell = try Self.array(data, from: place, header: &headers[index])
    guard cell.type == type, column.fits(cell.cell) else {
      throw TesseraError.malformed(
        "\(cell.type.rawValue) \(cell.cell.shape) where the column holds \(type.rawValue) "
          + column.shapeText,
        file: place
      )
    }
    row.cells[index] = cell.cell
  }

  /// The head of the array before: samples of one size have equal ones.
  private struct ParsedHeader {
    let bytes: [UInt8]
    let header: NPYHeader
  }

  private static func array(
    _ data: [UInt8],
    from place: String,
    header: inout ParsedHeader?
  ) throws -> (cell: DatasetCell, type: ElementType) {
    if let known = header, data.starts(with: known.bytes),
      data.count == known.bytes.count + known.header.dataByteCount
    {
      let cell = DatasetCell(shape: known.header.shape, bytes: Array(data[known.bytes.count...]))
      return (cell, known.header.elementType)
    }
    let parsed = try NPYHeader(parsing: data, from: place)
    if !parsed.isBigEndian, !parsed.isFortranOrder {
      header = ParsedHeader(bytes: Array(data[..<parsed.dataOffset]), header: parsed)
    }
    let tensor = try NPYFile.decode(data, from: place)
    return (DatasetCell(tensor), tensor.elementType)
  }

  /// The columns of a dataset as `tokenize` wrote it: those of its first sample.
  private static func table(of dataset: TokenDataset) throws -> DatasetTable {
    let settings = dataset.manifest.settings
    let vocabulary = settings.tokenizer.vocabularySize + settings.vocabularyOffset
    guard let shard = dataset.manifest.shards.first(where: { $0.samples > 0 }),
      let sample = try dataset.samples(of: shard).first
    else { return DatasetTable(columns: [], vocabularySize: vocabulary) }
    var columns: [DatasetColumn] = []
    var metadata: [DatasetColumn] = []
    for member in sample.columns {
      if member == json {
        metadata = try Self.metadata(of: sample)
      } else if member == text {
        columns.append(DatasetColumn(name: "caption", type: .text))
      } else if member.hasSuffix(".npy") {
        let tensor = try sample.tensor(member)
        let name = String(member.dropLast(4))
        // The axes of position ids and the channels of latents are the scheme's and the network's,
        // the views of codes the augmentation's.
        var shape = [Int?](repeating: nil, count: tensor.shape.rank)
        if name == "positions", shape.count == 2 { shape[0] = tensor.shape[0] }
        if name == "codes", settings.augment != nil, shape.count == 2 { shape[0] = tensor.shape[0] }
        if name == "latents", let last = shape.indices.last { shape[last] = tensor.shape[last] }
        columns.append(DatasetColumn(name: name, type: .array(tensor.elementType), shape: shape))
      } else {
        throw TesseraError.malformed("member '.\(member)' has no known type", file: sample.key)
      }
    }
    return DatasetTable(columns: columns + metadata, vocabularySize: vocabulary)
  }

  private static func metadata(of sample: DatasetSample) throws -> [DatasetColumn] {
    do {
      return try MetadataJSON.columns(of: sample.bytes(of: json))
    } catch let error as JSONScanner.Failure {
      throw TesseraError.malformed(error.cause, file: "\(sample.key).json")
    }
  }
}

extension DatasetColumn {
  /// The extents as `[2, *]`.
  package var shapeText: String {
    "[" + shape.map { $0.map(String.init) ?? "*" }.joined(separator: ", ") + "]"
  }
}
