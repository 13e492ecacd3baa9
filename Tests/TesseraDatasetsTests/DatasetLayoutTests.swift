import Fixtures
import Foundation
import TesseraCore
import TesseraDatasets
import Testing

/// Every layout written and read back, with columns that images alone do not have.
@Suite struct DatasetLayoutTests {
  static let table = DatasetTable(
    columns: [
      DatasetColumn(name: "input_ids", type: .array(.int32), shape: [nil]),
      DatasetColumn(name: "position_ids", type: .array(.float32), shape: [3, nil]),
      DatasetColumn(name: "loss_mask", type: .array(.uint8), shape: [nil]),
      DatasetColumn(name: "image_grid_thw", type: .array(.int32), shape: [nil, 3]),
      DatasetColumn(name: "caption", type: .text),
      DatasetColumn(name: "source", type: .text, isMetadata: true),
      DatasetColumn(name: "images", type: .json, isMetadata: true),
      DatasetColumn(name: "weight", type: .array(.int32), isMetadata: true),
    ],
    vocabularySize: 60_000
  )

  /// Text alone, one token, a long caption, an empty one, every kind of character.
  static let rows: [DatasetRow] = {
    let captions = [
      "a cat", "", "ünï\u{1F600}\n\"quoted\" \\ \t\u{7}", String(repeating: "long ", count: 3000),
      "日本語のキャプション",
    ]
    return captions.enumerated().map { index, caption in
      let count = [7, 1, 64, 300, 12][index]
      let ids = (0..<count).map { Int32(($0 * 7919 + index) % 60_000) }
      let positions = (0..<3 * count).map { Float($0) + 0.5 }
      let grids: [Int32] = index % 2 == 0 ? [] : [1, 2, 3, 1, 1, Int32(index)]
      return DatasetRow(
        key: index % 2 == 0 ? "k\(index)" : "folder/k\(index)",
        cells: [
          DatasetCell(shape: [count], elements: ids),
          DatasetCell(shape: [3, count], elements: positions),
          DatasetCell(shape: [count], elements: ids.map { UInt8($0 & 1) }),
          DatasetCell(shape: [grids.count / 3, 3], elements: grids),
          DatasetCell(text: caption), DatasetCell(text: "s/\(index).jpg"),
          DatasetCell(text: "[{\"source\":\"\(index)\"},null]"),
          DatasetCell(shape: [], elements: [Int32(-index)]),
        ]
      )
    }
  }()

  static let formats = DatasetFormat.allCases.filter { ![.llamagen, .fourM].contains($0) }

  /// What is usual, but for the samples of one file and a change.
  private static func settings(
    samples: Int = 2,
    _ change: (inout DatasetExportSettings) -> Void = { _ in }
  ) -> DatasetExportSettings {
    var settings = DatasetExportSettings()
    settings.shardSamples = samples
    change(&settings)
    return settings
  }

  /// Writes rows and opens what was written; the columns that the layout has.
  private func write(
    _ rows: [DatasetRow],
    _ table: DatasetTable,
    as format: DatasetFormat,
    _ settings: DatasetExportSettings = settings(),
    in folder: TemporaryFolder
  ) throws -> (dataset: TokenDataset, kept: [Int]) {
    let omitted = format.omitted(from: table)
    let kept = table.columns.indices.filter { !omitted.contains(table.columns[$0].name) }
    let stored = DatasetTable(
      columns: kept.map { table.columns[$0] },
      vocabularySize: table.vocabularySize
    )
    let stage = DatasetStage(folder: folder.path)
    var writer = try format.writer(for: stored, settings: settings, into: stage)
    for row in rows {
      try writer.append(DatasetRow(key: row.key, cells: kept.map { row.cells[$0] }))
    }
    try writer.finish()
    let manifest = try DatasetManifest(
      settings: .plain(format: format, export: settings),
      plan: "0",
      rejected: 0,
      shards: stage.shards,
      layout: DatasetLayout(
        table: stored,
        renamed: settings.renames,
        omitted: omitted,
        files: stage.files
      )
    )
    _ = try folder.write(Array(try JSONEncoder().encode(manifest)), to: "dataset.json")
    return (try TokenDataset(path: folder.path), kept)
  }

  private func read(_ dataset: TokenDataset) throws -> [DatasetRow] {
    var rows: [DatasetRow] = []
    try dataset.rows().forEach { rows.append($0) }
    return rows
  }

  @Test(arguments: formats)
  func `every layout gives back what it was given`(format: DatasetFormat) throws {
    let folder = try TemporaryFolder()
    let (dataset, kept) = try write(Self.rows, Self.table, as: format, in: folder)
    #expect(dataset.manifest.samples == Self.rows.count)
    #expect(dataset.manifest.tokens == 384)
    let found = try read(dataset)
    #expect(found.count == Self.rows.count)
    for (row, wanted) in zip(found, Self.rows) {
      #expect(row.key == wanted.key)
      for (position, index) in kept.enumerated() {
        let name = Self.table.columns[index].name
        #expect(row.cells[position] == wanted.cells[index], "\(wanted.key) \(name)")
      }
    }
  }

  @Test(arguments: [DatasetFormat.parquet, .mds])
  func `compressed files give back what they were given`(format: DatasetFormat) throws {
    let folder = try TemporaryFolder()
    let settings = Self.settings { $0.compression = 5 }
    #expect(
      try read(write(Self.rows, Self.table, as: format, settings, in: folder).dataset) == Self.rows
    )
  }

  @Test(arguments: [DatasetFormat.mds, .jsonl, .webdataset, .hdf5])
  func `renamed columns come back under their own names`(format: DatasetFormat) throws {
    let folder = try TemporaryFolder()
    let settings = Self.settings(samples: 1000) {
      $0.renames = ["input_ids": "tokens", "source": "origin", "caption": "text"]
    }
    #expect(
      try read(write(Self.rows, Self.table, as: format, settings, in: folder).dataset) == Self.rows
    )
  }

  /// A file cut between two samples is a whole file of its format.
  @Test(arguments: [
    (DatasetFormat.jsonl, "data/train-00002-of-00003.jsonl"),
    (.tfrecord, "train-00002-of-00003.tfrecord"), (.arrow, "data-00002-of-00003.arrow"),
  ])
  func `samples that are missing are an error`(format: DatasetFormat, last: String) throws {
    let folder = try TemporaryFolder()
    let (dataset, _) = try write(Self.rows, Self.table, as: format, in: folder)
    _ = try folder.write([], to: last)
    #expect {
      try read(dataset)
    } throws: { error in
      error is TesseraError && "\(error)".contains("4 samples where the manifest says 5")
    }
  }

  @Test(arguments: [ElementType.float16, .complex64])
  func `numbers without a form in JSON are refused or left out`(type: ElementType) throws {
    let table = DatasetTable(
      columns: [
        DatasetColumn(name: "codes", type: .array(.uint8), shape: [nil]),
        DatasetColumn(name: "x", type: .array(type), shape: [nil]),
      ],
      vocabularySize: 8
    )
    let numbers = [UInt8](repeating: 0, count: 3 * type.bitWidth / 8)
    let row = DatasetRow(
      key: "a",
      cells: [
        DatasetCell(shape: [1], elements: [UInt8(7)]), DatasetCell(shape: [3], bytes: numbers),
      ]
    )
    let folder = try TemporaryFolder()
    #expect(throws: TesseraError.self) { try write([row], table, as: .jsonl, in: folder) }
    #expect(DatasetFormat.megatron.omitted(from: table) == ["x"])
  }

  @Test func `empty lists of an array are few`() {
    let column = DatasetColumn(name: "x", type: .array(.int32), shape: [nil, nil])
    #expect(column.fits(DatasetCell(shape: [3, 0], bytes: [])))
    #expect(column.fits(DatasetCell(shape: [0, 1 << 20], bytes: [])))
    #expect(!column.fits(DatasetCell(shape: [1 << 40, 0], bytes: [])))
    let deep = DatasetColumn(name: "x", type: .array(.int32), shape: [nil, nil, nil])
    #expect(!deep.fits(DatasetCell(shape: [1 << 40, 1 << 40, 0], bytes: [])))
  }

  @Test(arguments: [
    DatasetFormat.parquet, .arrow, .mds, .litdata, .hdf5,
  ])
  func `an id beyond int32 is an error, never a wrap`(format: DatasetFormat) throws {
    let table = DatasetTable(
      columns: [DatasetColumn(name: "codes", type: .array(.uint32), shape: [nil])],
      vocabularySize: 1 << 32
    )
    let row = DatasetRow(
      key: "a",
      cells: [DatasetCell(shape: [2], elements: [1, UInt32(1) << 31])]
    )
    let folder = try TemporaryFolder()
    #expect {
      try write([row], table, as: format, in: folder)
    } throws: { error in
      "\(error)".contains("2147483648") && (error as? TesseraError)?.kind == .numericLimit
    }
  }

  @Test func `a vocabulary beyond uint16 is refused by nanogpt and widened by the others`() throws {
    for (size, type) in [(65_499, UInt8(8)), (65_500, 4), (65_536, 4), (1 << 31, 4)] {
      let table = DatasetTable(
        columns: [DatasetColumn(name: "codes", type: .array(.uint32), shape: [nil])],
        vocabularySize: size
      )
      let row = DatasetRow(key: "a", cells: [DatasetCell(shape: [1], elements: [UInt32(7)])])
      let folder = try TemporaryFolder()
      _ = try write([row], table, as: .megatron, in: folder)
      #expect(folder.bytes(of: "tokens.idx")?[17] == type)
      let other = try TemporaryFolder()
      if size > 1 << 16 {
        #expect(throws: TesseraError.self) {
          try write([row], table, as: .nanogpt, in: other)
        }
      } else {
        _ = try write([row], table, as: .nanogpt, in: other)
        #expect(other.bytes(of: "train.bin") == [7, 0])
      }
    }
  }
}

@Suite struct RowStepTests {
  private struct Numbers: DatasetRows {
    let table = DatasetTable(
      columns: [DatasetColumn(name: "codes", type: .array(.uint8), shape: [nil])],
      vocabularySize: 256
    )
    let count: Int

    func forEach(_ body: (DatasetRow) throws -> Void) throws {
      for number in 0..<count {
        try body(
          DatasetRow(
            key: "k\(number)",
            cells: [DatasetCell(shape: [1], elements: [UInt8(number & 0xFF)])]
          )
        )
      }
    }
  }

  private func keys(_ rows: any DatasetRows) throws -> [String] {
    var keys: [String] = []
    try rows.forEach { keys.append($0.key) }
    return keys
  }

  @Test(arguments: [0, 1, 2, 3, 4, 5, 16, 17, 1000])
  func `shuffling moves every row once, as the seed says`(count: Int) throws {
    let plain = try keys(Numbers(count: count))
    let shuffled = try keys(ShuffledRows(Numbers(count: count), seed: 3))
    #expect(shuffled.sorted() == plain.sorted())
    #expect(try keys(ShuffledRows(Numbers(count: count), seed: 3)) == shuffled)
    if count > 16 {
      #expect(shuffled != plain)
      #expect(try keys(ShuffledRows(Numbers(count: count), seed: 4)) != shuffled)
    }
  }

  @Test func `codes move to another offset in a type that holds them`() throws {
    let moved = try #require(OffsetRows(Numbers(count: 256), from: 0, to: 50_000))
    #expect(moved.table.vocabularySize == 50_256)
    var codes: [UInt16] = []
    try moved.forEach { codes += $0.cells[0].elements(as: UInt16.self) }
    #expect(codes == (0..<256).map { 50_000 + $0 })
    let below = try #require(OffsetRows(Numbers(count: 256), from: 10, to: 0))
    #expect(throws: TesseraError.self) { try below.forEach { _ in } }
    // Codes below the old offset are none, even where they would still be numbers.
    let raised = try #require(OffsetRows(Numbers(count: 256), from: 10, to: 20))
    #expect(throws: TesseraError.self) { try raised.forEach { _ in } }
  }

  @Test func `numbers change their type and never their value`() throws {
    let wide = DatasetCell(shape: [3], elements: [Int64(0), 255, 256]).bytes
    var misfit = #expect(throws: ElementConversion.Misfit.self) {
      try ElementConversion.convert(wide, from: .int64, to: .uint8)
    }
    #expect(misfit?.value == "256" && misfit?.type == .uint8)
    let signed = DatasetCell(shape: [2], elements: [Int32(-1), 5]).bytes
    misfit = #expect(throws: ElementConversion.Misfit.self) {
      try ElementConversion.convert(signed, from: .int32, to: .uint32)
    }
    #expect(misfit?.value == "-1" && misfit?.type == .uint32)
    let unsigned = DatasetCell(shape: [1], elements: [UInt64.max]).bytes
    #expect(throws: ElementConversion.Misfit.self) {
      try ElementConversion.convert(unsigned, from: .uint64, to: .int64)
    }
    #expect(
      try ElementConversion.convert(signed, from: .int32, to: .int64)
        == DatasetCell(shape: [2], elements: [Int64(-1), 5]).bytes
    )
  }
}
