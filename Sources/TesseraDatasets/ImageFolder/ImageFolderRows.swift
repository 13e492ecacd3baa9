import TesseraCore

/// What readers and writers of the folders of LlamaGen and 4M share: codes in one file per image,
/// everything else in `samples.jsonl`.
package enum ImageFolderLayout {
  /// 4M's folder of the codes of pictures, and of how each was cropped.
  package static let codesFolder = "tok_rgb"
  package static let cropsFolder = "crop_settings"
  /// LlamaGen's list of classes: a line a label.
  package static let classesFile = "classes.txt"

  /// Divides a table; nil where it has no tokens.
  package static func layout(of table: DatasetTable) -> FlatLayout? {
    guard let token = table.tokenColumn else { return nil }
    let described = table.columns.indices.filter { index in
      table.columns[index].isMetadata || table.columns[index].type.elementType == nil
    }
    return FlatLayout(token: token, described: described, table)
  }

  /// LlamaGen's folder of codes or labels of pictures of a size.
  package static func folder(_ kind: String, size: Int) -> String { "imagenet\(size)_\(kind)" }
}

/// The samples of LlamaGen's and 4M's folders.
struct ImageFolderRows: DatasetRows {
  let table: DatasetTable
  private let folder: String
  private let layout: FlatLayout
  private let format: DatasetFormat

  private static let largestFile = 1 << 28

  init(_ dataset: TokenDataset, _ record: DatasetLayout, format: DatasetFormat) throws {
    table = record.table
    folder = dataset.path
    self.format = format
    guard let layout = ImageFolderLayout.layout(of: table) else {
      throw TesseraError.malformed("its table has no tokens", file: folder)
    }
    self.layout = layout
  }

  func forEach(_ body: (DatasetRow) throws -> Void) throws {
    var lines = try SampleLines(folder: folder, layout: layout, table: table)
    var index = 0
    while let next = try lines.next() {
      var row = next.row
      let path = try path(of: row, index)
      let bytes = try FileDigest.bytes(of: path, maximumBytes: Self.largestFile)
      let codes = try NPYFile.decode(bytes, from: path)
      guard codes.shape.elementCount == next.count else {
        throw TesseraError.malformed("not the codes of a sample of \(next.tokens)", file: path)
      }
      let column = table.columns[layout.token]
      row.cells[layout.token] = DatasetCell(
        shape: next.tokens,
        bytes: try codes.bytes.converted(from: codes.elementType, to: column, place: path)
      )
      index += 1
      try body(row)
    }
  }

  private func path(of row: DatasetRow, _ index: Int) throws -> String {
    if format == .fourM {
      let name = "\(ImageFolderLayout.codesFolder)/\(row.key).npy"
      return try TokenDataset.file(name, in: folder)
    }
    let size = table.index(of: "crop").map { row.cells[$0].elements(as: Int32.self) } ?? []
    let width = size.count == 4 ? Int(size[2]) - Int(size[0]) : 0
    let name = "\(ImageFolderLayout.folder("codes", size: width))/\(index).npy"
    return try TokenDataset.file(name, in: folder)
  }
}
