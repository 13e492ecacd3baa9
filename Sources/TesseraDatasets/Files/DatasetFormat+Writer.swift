extension DatasetFormat {
  /// Starts a dataset of this layout.
  ///
  /// - Parameters:
  ///   - table: The columns of every row, those without a place in the layout left out.
  ///   - settings: What the user chose.
  ///   - stage: Where the files go.
  /// - Returns: A writer that has no samples yet.
  /// - Throws: `TesseraError` where the layout cannot hold such a table.
  public func writer(
    for table: DatasetTable,
    settings: DatasetExportSettings,
    into stage: DatasetStage
  ) throws -> any DatasetWriter {
    switch self {
    case .webdataset: try WebDatasetWriter(table, settings, into: stage)
    case .jsonl: try JSONLinesWriter(table, settings, into: stage)
    case .npy: try NPYFolderWriter(table, settings, into: stage)
    case .nanogpt, .llmc, .datatrove:
      try TokenStreamWriter(table, settings, format: self, into: stage)
    case .litdata: try LitdataWriter(table, settings, into: stage)
    case .parquet: try ParquetWriter(table, settings, into: stage)
    case .llamagen, .fourM:
      try ImageFolderWriter(table, settings, format: self, into: stage)
    case .arrow: try ArrowWriter(table, settings, into: stage)
    case .hdf5: try HDF5DatasetWriter(table, settings, into: stage)
    case .mds: try MosaicWriter(table, settings, into: stage)
    case .tfrecord, .arrayrecord:
      try RecordWriter(table, settings, format: self, into: stage)
    case .megatron: try MegatronWriter(table, settings, into: stage)
    case .safetensors: try SafetensorsDatasetWriter(table, settings, into: stage)
    }
  }
}
