package import TesseraCore

/// A sample's codes and what is known of its picture, whatever the layout of its dataset.
package struct CodedSample: Sendable {
  /// The name of the sample.
  package let key: String
  /// The codes, the vocabulary offset added.
  package let codes: Tensor
  private let description: SampleDescription?

  fileprivate init(key: String, codes: Tensor, description: SampleDescription?) {
    (self.key, self.codes, self.description) = (key, codes, description)
  }

  /// What the dataset says of the image.
  ///
  /// - Throws: `TesseraError` where it keeps less.
  package func describe() throws -> SampleDescription {
    guard let description else {
      throw TesseraError.malformed("the dataset does not say what image it was", file: key)
    }
    return description
  }
}

/// The samples of a dataset of any layout as codes, found by their number.
package struct CodedSamples: Sendable {
  /// How many there are.
  package var count: Int { rows.count }

  private let rows: IndexedRows
  private let codes: Int
  private let type: ElementType

  /// Reads a dataset once, up to a number of samples.
  ///
  /// - Throws: `TesseraError` where it holds no codes.
  package init(of dataset: TokenDataset, limit: Int) throws {
    let wanted = ["codes"] + MetadataJSON.description.map(\.name)
    let rows = SelectedRows(try dataset.rows(), keeping: Set(wanted))
    guard let codes = rows.table.index(of: "codes"),
      let type = rows.table.columns[codes].type.elementType
    else {
      throw TesseraError.malformed(
        "it has no column 'codes'; name the dataset that it was made of",
        file: dataset.path
      )
    }
    self.rows = try IndexedRows(rows, limit: limit)
    (self.codes, self.type) = (codes, type)
  }

  /// One sample.
  ///
  /// - Throws: `TesseraError`.
  package func sample(_ index: Int) throws -> CodedSample {
    let row = try rows.row(at: index)
    let cell = row.cells[codes]
    return CodedSample(
      key: row.key,
      codes: Tensor(elementType: type, shape: cell.shape, bytes: cell.bytes),
      description: SampleDescription(row, rows.table)
    )
  }
}

extension SampleDescription {
  /// Reads the columns that describe an image; nil where one is missing.
  init?(_ row: DatasetRow, _ table: DatasetTable) {
    func text(_ name: String) -> String? { table.index(of: name).map { row.cells[$0].text } }
    func numbers(_ name: String, _ count: Int) -> [Int]? {
      guard let index = table.index(of: name), table.columns[index].type == .array(.int32) else {
        return nil
      }
      let values = row.cells[index].elements(as: Int32.self).map { Int($0) }
      return values.count == count ? values : nil
    }
    guard let source = text("source"), let sha256 = text("sha256"),
      let width = numbers("orig_width", 1), let height = numbers("orig_height", 1),
      let orientation = numbers("exif_orientation", 1), let resized = numbers("resized", 2),
      let crop = numbers("crop", 4), let grid = numbers("grid", 2)
    else { return nil }
    self.init(
      key: row.key,
      source: source,
      sha256: sha256,
      size: width + height,
      orientation: orientation[0],
      resized: resized,
      crop: crop,
      grid: grid,
      margin: nil
    )
  }
}
