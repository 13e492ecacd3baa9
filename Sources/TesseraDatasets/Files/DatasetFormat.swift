package import TesseraCore

/// The layouts in which a dataset can lie on disk; the raw value is the name of `--format`.
public enum DatasetFormat: String, Codable, Hashable, Sendable, CaseIterable {
  /// Tar shards of `.npy`, `.json` and `.txt` members: Tessera's own layout.
  case webdataset
  /// Parquet files with the features of Hugging Face `datasets`.
  case parquet
  /// Megatron's `.bin` and `.idx`.
  case megatron
  /// MosaicML's shards.
  case mds
  /// TFRecord files of `tf.train.Example`.
  case tfrecord
  /// ArrayRecord files of `tf.train.Example`.
  case arrayrecord
  /// Lightning's chunks.
  case litdata
  /// datatrove's and Nanotron's `.ds`.
  case datatrove
  /// Headerless uint16.
  case nanogpt
  /// llm.c's `.bin` with its header.
  case llmc
  /// Arrow streams, as `datasets.load_from_disk` reads them.
  case arrow
  /// One HDF5 file, a dataset a column.
  case hdf5
  /// A file an array, named by the sample's key.
  case npy
  /// LlamaGen's folders of codes and labels.
  case llamagen
  /// 4M's folders of a modality each.
  case fourM = "4m"
  /// One safetensors file of all samples' tokens.
  case safetensors
  /// A line of JSON a sample.
  case jsonl
}

extension DatasetFormat {
  /// The type in which a layout stores numbers of a type, so that its readers can compute with them:
  /// torch has hardly any arithmetic for uint16 and uint32, and TensorFlow's examples have int64 and
  /// float32 alone.
  package func storedType(of type: ElementType) -> ElementType {
    switch (self, type) {
    case (.tfrecord, .float32), (.arrayrecord, .float32), (.tfrecord, .float64),
      (.arrayrecord, .float64):
      .float32
    case (.tfrecord, _), (.arrayrecord, _): .int64
    case (.parquet, .uint16), (.arrow, .uint16), (.mds, .uint16), (.litdata, .uint16),
      (.hdf5, .uint16),
      (.parquet, .uint32), (.arrow, .uint32), (.mds, .uint32), (.litdata, .uint32),
      (.hdf5, .uint32):
      .int32
    case (.parquet, .uint64), (.arrow, .uint64), (.mds, .uint64), (.litdata, .uint64),
      (.hdf5, .uint64):
      .int64
    default: type
    }
  }
}

extension DatasetFormat {
  /// The names of its variants.
  package var variants: [String] { self == .litdata ? ["pytree", "tokens"] : [] }
  /// Whether the files can be compressed.
  package var compresses: Bool { self == .parquet || self == .mds }
  /// The level of zstd where none was named.
  package var usualCompression: Int? { self == .parquet ? 3 : nil }
}
