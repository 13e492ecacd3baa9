package import TesseraCore

/// The layouts in which a dataset can lie on disk; the raw value is the name of `--format`.
public enum DatasetFormat: String, Codable, Hashable, Sendable, CaseIterable {
  case webdataset, parquet, megatron, mds, tfrecord, arrayrecord, litdata, datatrove, nanogpt, llmc
  case arrow, hdf5, npy, llamagen
  case fourM = "4m"
  case safetensors, jsonl
}

/// One line of the table of layouts: all that is asked of a layout, in one place.
package struct DatasetFormatEntry: Sendable {
  /// How a layout stores numbers, so that its readers can compute with them.
  enum Numbers: Sendable {
    /// As they are.
    case plain
    /// Unsigned ones as signed ones: torch has hardly any arithmetic for uint16 and uint32.
    case signed
    /// As int64 and float32, the only ones of `tf.train.Example`.
    case example
  }

  /// Whether the files can be compressed, and the level of zstd where none was named.
  enum Compression: Sendable {
    case none
    case zstd(usual: Int?)
  }

  /// What its files are: a line for help and documents.
  package let summary: String
  let numbers: Numbers
  let compression: Compression
  /// The names of its variants.
  package let variants: [String]
  /// The columns of a table that have no place in it.
  let omitted: @Sendable (DatasetTable) -> [String]
  let rows: @Sendable (TokenDataset) throws -> any DatasetRows
  let writer: @Sendable (DatasetOutput) throws -> any DatasetWriter

  init(
    _ summary: String,
    numbers: Numbers = .plain,
    compression: Compression = .none,
    variants: [String] = [],
    omitted: @escaping @Sendable (DatasetTable) -> [String] = { _ in [] },
    rows: @escaping @Sendable (TokenDataset) throws -> any DatasetRows,
    writer: @escaping @Sendable (DatasetOutput) throws -> any DatasetWriter
  ) {
    (self.summary, self.numbers, self.compression) = (summary, numbers, compression)
    (self.variants, self.omitted, self.rows, self.writer) = (variants, omitted, rows, writer)
  }
}

extension DatasetFormat {
  /// The line of the table.
  package var entry: DatasetFormatEntry {
    switch self {
    case .webdataset:
      DatasetFormatEntry(
        "tar shards of .npy, .json and .txt members: Tessera's own layout",
        rows: { try WebDatasetRows($0) },
        writer: { try WebDatasetWriter($0) }
      )
    case .parquet:
      DatasetFormatEntry(
        "Parquet files with the features of Hugging Face datasets",
        numbers: .signed,
        compression: .zstd(usual: 3),
        rows: { try ParquetRows($0, $0.layout()) },
        writer: { try ParquetWriter($0) }
      )
    case .megatron:
      DatasetFormatEntry(
        "Megatron's .bin and .idx",
        omitted: { FlatLayout.omitted(from: $0) },
        rows: { try MegatronRows($0, $0.layout()) },
        writer: { try MegatronWriter($0) }
      )
    case .mds:
      DatasetFormatEntry(
        "MosaicML's shards",
        numbers: .signed,
        compression: .zstd(usual: nil),
        rows: { MosaicRows($0, try $0.layout()) },
        writer: { try MosaicWriter($0) }
      )
    case .tfrecord:
      DatasetFormatEntry(
        "TFRecord files of tf.train.Example",
        numbers: .example,
        rows: { try TFRecordRows($0, $0.layout()) },
        writer: { try RecordWriter($0) }
      )
    case .arrayrecord:
      DatasetFormatEntry(
        "ArrayRecord files of tf.train.Example",
        numbers: .example,
        rows: { try ArrayRecordRows($0, $0.layout()) },
        writer: { try RecordWriter($0) }
      )
    case .litdata:
      DatasetFormatEntry(
        "Lightning's chunks",
        numbers: .signed,
        variants: ["pytree", "tokens"],
        rows: { try LitdataRows($0, $0.layout()) },
        writer: { try LitdataWriter($0) }
      )
    case .datatrove, .nanogpt, .llmc: tokenStream
    case .arrow:
      DatasetFormatEntry(
        "Arrow streams, as datasets.load_from_disk reads them",
        numbers: .signed,
        rows: { try ArrowRows($0, $0.layout()) },
        writer: { try ArrowWriter($0) }
      )
    case .hdf5:
      DatasetFormatEntry(
        "one HDF5 file with a dataset per column",
        numbers: .signed,
        rows: { try HDF5DatasetRows($0, $0.layout()) },
        writer: { try HDF5DatasetWriter($0) }
      )
    case .npy:
      DatasetFormatEntry(
        "one .npy file per array, named by the sample's key",
        rows: { try NPYFolderRows($0, $0.layout()) },
        writer: { try NPYFolderWriter($0) }
      )
    case .llamagen: imageFolder("LlamaGen's folders of codes and labels")
    case .fourM: imageFolder("4M's folders, one per modality")
    case .safetensors:
      DatasetFormatEntry(
        "one safetensors file of all samples' tokens",
        omitted: { FlatLayout.omitted(from: $0) },
        rows: { try SafetensorsRows($0, $0.layout()) },
        writer: { try SafetensorsDatasetWriter($0) }
      )
    case .jsonl:
      DatasetFormatEntry(
        "one line of JSON per sample",
        rows: { try JSONLinesRows($0, $0.layout()) },
        writer: { try JSONLinesWriter($0) }
      )
    }
  }

  /// Streams of ids: datatrove's also has a mask of the loss.
  private var tokenStream: DatasetFormatEntry {
    let keepsMask = self == .datatrove
    let summary =
      switch self {
      case .nanogpt: "uint16 without a header"
      case .llmc: "llm.c's .bin with its header"
      default: "datatrove's and Nanotron's .ds"
      }
    return DatasetFormatEntry(
      summary,
      omitted: { FlatLayout.omitted(from: $0, keepsMask: keepsMask) },
      rows: { try TokenStreamRows($0, $0.layout(), format: self) },
      writer: { try TokenStreamWriter($0) }
    )
  }

  private func imageFolder(_ summary: String) -> DatasetFormatEntry {
    DatasetFormatEntry(
      summary,
      omitted: { table in
        ImageFolderLayout.layout(of: table)?.omitted(of: table).map { table.columns[$0].name } ?? []
      },
      rows: { try ImageFolderRows($0, $0.layout(), format: self) },
      writer: { try ImageFolderWriter($0) }
    )
  }
}

extension DatasetFormat {
  /// The type in which the layout stores numbers of a type.
  package func storedType(of type: ElementType) -> ElementType {
    switch (entry.numbers, type) {
    case (.example, .float32), (.example, .float64): .float32
    case (.example, _): .int64
    case (.signed, .uint16), (.signed, .uint32): .int32
    case (.signed, .uint64): .int64
    default: type
    }
  }

  /// Whether the files can be compressed.
  package var compresses: Bool { if case .zstd = entry.compression { true } else { false } }
  /// The level of zstd where none was named.
  package var usualCompression: Int? {
    if case .zstd(let usual) = entry.compression { usual } else { nil }
  }

  /// The columns of a table that have no place in this layout.
  package func omitted(from table: DatasetTable) -> [String] { entry.omitted(table) }

  /// Starts a dataset of this layout.
  ///
  /// - Parameters:
  ///   - table: The columns of every row, those without a place in the layout left out.
  ///   - settings: What the user chose.
  ///   - stage: Where the files go.
  /// - Returns: A writer that has no samples yet.
  /// - Throws: `TesseraError` where the layout cannot hold such a table.
  package func writer(
    for table: DatasetTable,
    settings: DatasetExportSettings,
    into stage: DatasetStage
  ) throws -> any DatasetWriter {
    try entry.writer(
      DatasetOutput(
        stored: try StoredTable(table, format: self, renames: settings.renames),
        options: settings,
        stage: stage
      )
    )
  }
}
