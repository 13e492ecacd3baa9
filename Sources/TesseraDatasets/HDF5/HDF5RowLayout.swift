package import TesseraCore

/// What a reader and a writer of a dataset in HDF5 share: one dataset per column, one row per sample, all of
/// one length, for that is what Hugging Face `datasets` asks for.
///
/// Arrays that differ from sample to sample are lists of variable length; where they have more than
/// one axis, `<name>_shape` beside them holds the extents.
package enum HDF5RowLayout {
  /// The file's name.
  package static let file = "data.h5"
  /// The dataset of the keys.
  package static let key = "key"
  /// The rows that are read or written at once.
  package static let batch = 256

  /// The dataset of the extents of a column; nil where none is needed.
  package static func shapeName(of column: DatasetColumn, named name: String) -> String? {
    column.isFixed || column.shape.count < 2 ? nil : "\(name)_shape"
  }

  /// What the rows of a column are.
  package static func kind(of column: DatasetColumn) -> HDF5RowKind {
    guard let type = column.type.elementType else { return .text }
    let stored = DatasetFormat.hdf5.storedType(of: type)
    return column.isFixed
      ? .fixed(stored, column.shape.compactMap(\.self)) : .variable(stored)
  }

  /// Whether the library has a type, as it is used here.
  package static func holds(_ type: ElementType) -> Bool {
    [.bool, .uint8, .int8, .int16, .int32, .int64, .float32, .float64].contains(type)
  }
}
