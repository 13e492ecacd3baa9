import TesseraDatasets

extension DatasetSettings {
  /// Settings of a dataset that no tokenizer made, two samples per shard.
  static func plain(
    format: DatasetFormat = .webdataset,
    export: DatasetExportSettings? = nil
  ) throws -> DatasetSettings {
    try DatasetSettings(
      format: format.rawValue,
      tokenizer: TokenizerIdentity(
        name: "t",
        family: "f",
        sha256: "0",
        vocabularySize: 8,
        quantizer: ["kind": "none"]
      ),
      vocabularyOffset: 0,
      positions: "none",
      latents: false,
      preprocessing: ["resize": "none"],
      pixelLimit: 1,
      shardSamples: 2,
      export: export,
      toolVersion: "test"
    )
  }
}
