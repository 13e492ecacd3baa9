package import TesseraCore

/// What one column of a dataset holds.
package enum ColumnType: Hashable, Sendable {
  /// An array of numbers.
  case array(ElementType)
  /// UTF-8 text.
  case text
  /// A JSON value as text.
  case json

  /// The type of the elements; nil for text.
  package var elementType: ElementType? {
    if case .array(let type) = self { type } else { nil }
  }
}

extension ColumnType: Codable {
  /// Reads `text`, `json`, or the name of an element type such as `U16`.
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let name = try container.decode(String.self)
    switch name {
    case "text": self = .text
    case "json": self = .json
    default:
      // Rows are cut by whole bytes: the types narrower than one are none of a dataset's.
      guard let type = ElementType(rawValue: name), type.bitWidth % 8 == 0 else {
        throw DecodingError.dataCorruptedError(
          in: container,
          debugDescription: "'\(name)' is no type of a column"
        )
      }
      self = .array(type)
    }
  }

  /// Writes the name.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .text: try container.encode("text")
    case .json: try container.encode("json")
    case .array(let type): try container.encode(type.rawValue)
    }
  }
}

/// One column of a dataset: a name, a type, and the extents that all samples share.
package struct DatasetColumn: Codable, Hashable, Sendable {
  /// The name, such as `codes`; without dots and slashes.
  package var name: String
  /// What it holds.
  package var type: ColumnType
  /// The extent of each axis, nil where it differs from sample to sample; empty for text and for a
  /// single number.
  package var shape: [Int?]
  /// Whether it describes the sample, and is no training data: such columns stand in the sample's
  /// JSON where a layout has one.
  package var isMetadata: Bool

  enum CodingKeys: String, CodingKey {
    case name, type, shape
    case isMetadata = "metadata"
  }

  /// Creates a column.
  package init(name: String, type: ColumnType, shape: [Int?] = [], isMetadata: Bool = false) {
    (self.name, self.type, self.shape, self.isMetadata) = (name, type, shape, isMetadata)
  }

  /// Whether every sample's array has the same extents.
  package var isFixed: Bool { shape.allSatisfy { $0 != nil } }

  /// The most empty lists of an array: their number costs time and memory that no byte shows.
  private static let mostEmptyLists = 1 << 20

  /// A cell of elements that fill its extents.
  ///
  /// - Throws: `TesseraError` with `place` where they do not.
  func cell(_ bytes: [UInt8], shape: Shape, place: String) throws(TesseraError) -> DatasetCell {
    let cell = DatasetCell(shape: shape, bytes: bytes)
    guard fits(cell) else { throw .malformed("\(shape) does not fit its data", file: place) }
    return cell
  }

  /// Whether a cell can stand in this column.
  package func fits(_ cell: DatasetCell) -> Bool {
    guard cell.shape.rank == shape.count else { return false }
    guard zip(cell.shape.dimensions, shape).allSatisfy({ $1 == nil || $0 == $1 }) else {
      return false
    }
    guard let type = type.elementType else { return true }
    if cell.shape.dimensions.contains(0) {
      let lists = Shape(cell.shape.dimensions.filter { $0 > 0 }).elementCount
      guard let lists, lists <= Self.mostEmptyLists else { return false }
    }
    return cell.shape.elementCount.flatMap { type.byteCount(elements: $0) } == cell.bytes.count
  }
}

/// The columns of a dataset, in their order, and what is known of its token ids.
///
/// Every sample also has a key, which is no column. The names are those that trainers use:
/// `codes` or `input_ids`, `positions` or `position_ids`, `labels`, `loss_mask`, `caption`, …
package struct DatasetTable: Codable, Hashable, Sendable {
  /// The columns.
  package var columns: [DatasetColumn]
  /// Every token id is below this number; it decides the width of the layouts that store ids alone.
  package var vocabularySize: Int

  enum CodingKeys: String, CodingKey {
    case columns
    case vocabularySize = "vocabulary_size"
  }

  /// Creates a table.
  package init(columns: [DatasetColumn], vocabularySize: Int) {
    (self.columns, self.vocabularySize) = (columns, vocabularySize)
  }

  /// The names of columns that hold token ids, best first.
  package static let tokenNames = ["input_ids", "tokens", "codes"]
  /// The names of columns that hold position ids, best first.
  package static let positionNames = ["position_ids", "positions"]

  /// The index of the column that counts as the sample's tokens.
  package var tokenColumn: Int? { index(ofFirst: Self.tokenNames) }
  /// The index of the column of position ids, [axes, tokens].
  package var positionColumn: Int? { index(ofFirst: Self.positionNames) }

  /// The index of a column by name.
  package func index(of name: String) -> Int? { columns.firstIndex { $0.name == name } }

  private func index(ofFirst names: [String]) -> Int? {
    names.lazy.compactMap { index(of: $0) }.first
  }
}

/// What one sample has in one column.
package struct DatasetCell: Hashable, Sendable {
  /// The extents; a text and a single number have none.
  package var shape: Shape
  /// The elements, row-major and little-endian, or the text's UTF-8.
  package var bytes: [UInt8]

  /// Creates a cell of bytes that fit the shape.
  package init(shape: Shape, bytes: [UInt8]) {
    (self.shape, self.bytes) = (shape, bytes)
  }

  /// Creates the cell of a tensor.
  package init(_ tensor: Tensor) { self.init(shape: tensor.shape, bytes: tensor.bytes) }

  /// Creates the cell of a text.
  package init(text: String) { self.init(shape: [], bytes: Array(text.utf8)) }

  /// Creates the cell of numbers, as many as the shape holds.
  package init<Element: TensorElement>(shape: Shape, elements: [Element]) {
    self.init(Tensor(shape: shape, elements: elements))
  }

  /// The cell as UTF-8 text.
  package var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The elements as numbers of a type that the column has.
  package func elements<Element: TensorElement>(as type: Element.Type = Element.self) -> [Element] {
    let count = bytes.count / MemoryLayout<Element>.size
    return unsafe [Element](unsafeUninitializedCapacity: count) { elements, initialized in
      unsafe bytes.withUnsafeBytes { bytes in
        let whole = unsafe UnsafeRawBufferPointer(
          rebasing: bytes[..<(count * MemoryLayout<Element>.size)]
        )
        unsafe UnsafeMutableRawBufferPointer(elements).copyMemory(from: whole)
      }
      initialized = count
    }
  }
}

/// One sample of a dataset: its key and a cell for each column, in the order of the table.
package struct DatasetRow: Hashable, Sendable {
  /// The name of the sample, unique in the dataset and free of dots.
  package var key: String
  /// The cells.
  package var cells: [DatasetCell]

  /// Creates a row.
  package init(key: String, cells: [DatasetCell]) {
    (self.key, self.cells) = (key, cells)
  }
}

/// The samples of a dataset in order: what a reader yields, and what a step between reader and
/// writer takes and yields.
package protocol DatasetRows: Sendable {
  /// The columns of every row.
  var table: DatasetTable { get }

  /// Hands over each row once, in order; may be repeated.
  func forEach(_ body: (DatasetRow) throws -> Void) throws
}
