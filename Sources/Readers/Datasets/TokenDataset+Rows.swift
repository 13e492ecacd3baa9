extension TokenDataset {
  /// The layout that the manifest names.
  ///
  /// - Throws: ``DatasetError`` for a name of no layout.
  public func format() throws -> DatasetFormat {
    guard let format = DatasetFormat(rawValue: manifest.settings.format) else {
      throw DatasetError(
        place: "\(path)/\(DatasetManifest.fileName)",
        reason: "'\(manifest.settings.format)' is no layout that this version reads"
      )
    }
    return format
  }

  /// The samples with all their columns, whatever the layout: as many as the manifest says.
  ///
  /// - Throws: `FileError`, ``DatasetError`` where the files are damaged.
  public func rows() throws -> any DatasetRows {
    CountedRows(try storedRows(), samples: manifest.samples, place: path)
  }

  private func storedRows() throws -> any DatasetRows {
    let format = try format()
    if format == .webdataset { return try WebDatasetRows(self) }
    guard let layout = manifest.layout else {
      throw DatasetError(
        place: "\(path)/\(DatasetManifest.fileName)",
        reason: "it lacks the layout of '\(format.rawValue)'"
      )
    }
    return switch format {
    case .webdataset: try WebDatasetRows(self)
    case .jsonl: JSONLinesRows(self, layout)
    case .npy: try NPYFolderRows(self, layout)
    case .nanogpt, .llmc, .datatrove: try TokenStreamRows(self, layout, format: format)
    case .litdata: try LitdataRows(self, layout)
    case .parquet: ParquetRows(self, layout)
    case .llamagen, .fourM: try ImageFolderRows(self, layout, format: format)
    case .arrow: ArrowRows(self, layout)
    case .hdf5: HDF5DatasetRows(self, layout)
    case .mds: MosaicRows(self, layout)
    case .tfrecord: TFRecordRows(self, layout)
    case .arrayrecord: ArrayRecordRows(self, layout)
    case .megatron: try MegatronRows(self, layout)
    case .safetensors: try SafetensorsRows(self, layout)
    }
  }
}

extension DatasetFormat {
  /// The columns of a table that have no place in this layout.
  public func omitted(from table: DatasetTable) -> [String] {
    switch self {
    case .safetensors, .megatron, .nanogpt, .llmc, .datatrove:
      guard let layout = FlatLayout(table) else { return [] }
      var omitted = layout.omitted(of: table)
      if self != .safetensors, self != .megatron {
        // Ids alone, and datatrove's mask of the loss.
        if let positions = layout.positions { omitted.append(positions.column) }
        omitted += layout.aligned.filter {
          self != .datatrove || table.columns[$0].name != "loss_mask"
        }
      }
      return omitted.map { table.columns[$0].name }
    case .llamagen, .fourM:
      guard let layout = ImageFolderLayout.layout(of: table) else { return [] }
      return layout.omitted(of: table).map { table.columns[$0].name }
    default: return []
    }
  }
}

/// Rows that have to be as many as a manifest says: a file that was cut between two of its samples
/// looks whole.
private struct CountedRows: DatasetRows {
  var table: DatasetTable { source.table }
  private let source: any DatasetRows
  private let samples: Int
  private let place: String

  init(_ source: any DatasetRows, samples: Int, place: String) {
    self.source = source
    self.samples = samples
    self.place = place
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    var count = 0
    try source.forEach { row in
      count += 1
      guard count <= samples else {
        let reason = "its files hold more samples than the \(samples) of the manifest"
        throw DatasetError(place: place, reason: reason)
      }
      try body(row)
    }
    guard count == samples else {
      throw DatasetError(
        place: place,
        reason: "its files hold \(count) samples where the manifest says \(samples)"
      )
    }
  }
}
