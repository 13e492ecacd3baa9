import TesseraCheckpoints
import TesseraCore

/// One safetensors file: `tokens` of all samples, `offsets` of each, columns aligned with the tokens.
struct SafetensorsDatasetWriter: StoredWriter {
  let output: DatasetOutput
  private let tokenType: ElementType
  private var list: SampleList
  private let offsets: StagedFile
  private var spools: [Spool] = []

  /// One tensor on its way: one file per axis, for the axes lie behind each other in the end.
  private struct Spool {
    let name: String
    let column: StoredTable.Column
    let type: ElementType
    let axes: [StagedFile]
    let isPositions: Bool
  }

  init(_ output: DatasetOutput) throws {
    self.output = output
    let (stored, stage) = (output.stored, output.stage)
    let layout = try stored.flatLayout()
    list = try SampleList(layout, into: stage)
    offsets = try stage.spool("offsets")
    try offsets.write(Int64(0))
    tokenType = stored.table.vocabularySize <= 1 << 31 ? .int32 : .int64
    func spool(_ name: String, _ index: Int, _ type: ElementType, axes: Int?) throws {
      let files = try (0..<(axes ?? 1)).map { try stage.spool("\(index)-\($0)") }
      spools.append(
        Spool(
          name: name,
          column: stored.columns[index],
          type: type,
          axes: files,
          isPositions: axes != nil
        )
      )
    }
    try spool("tokens", layout.token, tokenType, axes: nil)
    if let positions = layout.positions {
      let column = stored.columns[positions.column]
      try spool(column.name, positions.column, column.elementType, axes: positions.axes)
    }
    for index in layout.aligned {
      let column = stored.columns[index]
      try spool(column.name, index, column.elementType, axes: nil)
    }
    let names = spools.map(\.name)
    guard Set(names).count == names.count, !names.contains("offsets") else {
      throw stored.refusal("a column is named 'tokens' or 'offsets'; rename it with --rename")
    }
  }

  mutating func append(_ row: DatasetRow) throws {
    let count = stored.tokens(of: row)
    for spool in spools {
      let source = spool.column.column.type.elementType ?? .uint8
      let bytes = try stored.convert(
        row.cells[spool.column.index].bytes,
        source,
        spool.type,
        row.key,
        spool.name
      )
      let part = count * spool.type.bitWidth / 8
      guard bytes.count == part * spool.axes.count else {
        throw TesseraError.mismatch(
          "it has not one number per token",
          place: "\(DatasetFormat.safetensors.rawValue): \("\(row.key): \(spool.name)")"
        )
      }
      for (axis, file) in spool.axes.enumerated() {
        try file.write(
          spool.axes.count == 1 ? bytes : Array(bytes[axis * part..<(axis + 1) * part])
        )
      }
    }
    try list.append(row)
    try offsets.write(Int64(list.tokens))
  }

  mutating func finish() throws {
    var tensors = spools.map { spool in
      let extents = spool.isPositions ? [spool.axes.count, list.tokens] : [list.tokens]
      return TensorInfo(name: spool.name, elementType: spool.type, shape: Shape(extents))
    }
    tensors.append(
      TensorInfo(name: "offsets", elementType: .int64, shape: [list.samples + 1])
    )
    let layout = try SafetensorsLayout(
      tensors: tensors,
      metadata: ["format": "pt", "samples": "\(list.samples)"]
    )
    let file = try stage.create("data.safetensors")
    try file.write(layout.header)
    for entry in layout.entries {
      let sources = spools.first { $0.name == entry.tensor.name }?.axes ?? [offsets]
      for source in sources { try file.append(contentsOf: source) }
    }
    for source in spools.flatMap(\.axes) + [offsets] { try source.discard() }
    stage.add(try file.finish(), samples: list.samples, tokens: list.tokens)
    stage.add(try list.finish())
  }
}
