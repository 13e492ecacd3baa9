import Foundation
import TesseraCore

/// A table of images and what is said of them: CSV, TSV, JSON Lines or Parquet, a row at a time.
struct CaptionTable: Sendable {
  /// One row.
  struct Row {
    /// The image as the table names it.
    let image: String
    /// What is said of it: one text, or more where the rules choose among several; nil for null.
    let captions: [String]?
    /// The number of the line, or of a Parquet file's row, from 1.
    let line: Int
  }

  /// The file.
  let path: String
  private let rules: CaptionRules

  private enum Kind { case delimited, lines, parquet }
  private let kind: Kind

  private static let images = [
    "file_name", "filename", "image", "image_path", "path", "file", "source", "key",
  ]
  /// The most bytes of a path.
  private static let longestImage = 1 << 12
  /// What may stand between fields, where nothing was chosen.
  private static let delimiters: [(byte: UInt8, name: String)] = [
    (UInt8(ascii: ","), "comma"), (UInt8(ascii: ";"), "semicolon"), (UInt8(ascii: "\t"), "tab"),
  ]

  init(path: String, rules: CaptionRules) throws {
    self.path = path
    self.rules = rules
    let lower = path.lowercased()
    if lower.hasSuffix(".parquet") {
      kind = .parquet
    } else if lower.hasSuffix(".jsonl") || lower.hasSuffix(".ndjson") {
      kind = .lines
    } else if lower.hasSuffix(".csv") || lower.hasSuffix(".tsv") {
      kind = .delimited
    } else {
      throw TesseraError.malformed(
        "captions come from sidecar files, a .csv, .tsv, .jsonl or .parquet",
        file: path
      )
    }
  }

  /// What a row is called: a line, or a row of Parquet.
  var unit: String { if case .parquet = kind { "row" } else { "line" } }

  /// Where a row stands.
  func place(_ line: Int) -> String { "\(path): \(unit) \(line)" }

  /// Hands over each row in order.
  ///
  /// - Throws: `TesseraError` that names the row, and what `body` throws.
  func forEach(_ body: (Row) throws -> Void) throws {
    var count = 0
    func checked(_ row: Row) throws {
      count += 1
      try check(row)
      try body(row)
    }
    switch kind {
    case .delimited: try readDelimited(checked)
    case .lines: try readLines(checked)
    case .parquet: try readParquet(checked)
    }
    guard count > 0 else { throw TesseraError.malformed("it holds no caption", file: path) }
  }

  private func fault(_ line: Int, _ reason: String) -> TesseraError {
    TesseraError.malformed(reason, file: place(line))
  }

  private func check(_ row: Row) throws {
    guard row.image.utf8.count <= Self.longestImage else {
      throw fault(row.line, "the name of an image takes more than \(Self.longestImage) bytes")
    }
    for caption in row.captions ?? [] {
      guard caption.utf8.count <= CaptionSource.longest else {
        throw fault(row.line, "a caption of more than \(CaptionSource.longest) bytes")
      }
      // As long as its bytes up to the first NUL: rows may share one long text, so this must be fast.
      guard unsafe caption.withCString({ unsafe strlen($0) }) == caption.utf8.count else {
        throw fault(row.line, "a caption with a NUL character")
      }
    }
  }

  private func readLines(_ body: (Row) throws -> Void) throws {
    var stream = try TextStream(path: path)
    var number = 0
    while let line = try stream.line(most: DelimitedRows.longest) {
      number += 1
      if line.allSatisfy({ [0x20, 0x09, 0x0D].contains($0) }) { continue }
      guard line.count <= DelimitedRows.longest else { throw fault(number, Self.tooLong) }
      let row: Row
      do {
        let fields = try CaptionFields(parsing: line)
        guard let image = fields.text(among: Self.images) else {
          throw CaptionFault("no image: one of \(Self.images.joined(separator: ", "))")
        }
        row = Row(image: image, captions: try fields.captions(under: rules), line: number)
      } catch let error as CaptionFault {
        throw fault(number, error.description)
      }
      try body(row)
    }
  }

  private func readDelimited(_ body: (Row) throws -> Void) throws {
    var reader = try DelimitedRows(path: path, delimiter: delimiter())
    guard try reader.next() else { throw fault(1, "no header") }
    let names = try header(of: reader)
    guard let (image, text) = columns(of: names) else { throw fault(1, noColumns) }
    let lower = names.map { $0.lowercased() }
    for index in [image, text]
    where lower.firstIndex(of: lower[index]) != lower.lastIndex(of: lower[index]) {
      throw fault(1, Self.twice(names[index]))
    }
    let count = reader.count
    while try reader.next() {
      if reader.isEmpty { continue }
      let line = reader.line
      guard !reader.isTooLong else { throw fault(line, Self.tooLong) }
      guard !reader.isCut || reader.count != count else {
        throw fault(line, "a quoted field without end")
      }
      guard reader.count == count else {
        throw fault(line, "\(reader.count) fields where the header has \(count)")
      }
      guard let image = reader.field(image), let caption = reader.field(text) else {
        throw fault(line, "not UTF-8")
      }
      try body(Row(image: image, captions: [caption], line: line))
    }
  }

  /// What stands between the fields: the choice, a tab in a .tsv, or that of a few by which the header has a
  /// column of images and one of captions.
  private func delimiter() throws -> UInt8 {
    if let chosen = rules.delimiter { return chosen }
    if path.lowercased().hasSuffix(".tsv") { return UInt8(ascii: "\t") }
    let fitting = try Self.delimiters.filter { delimiter in
      var reader = try DelimitedRows(path: path, delimiter: delimiter.byte)
      guard try reader.next() else { throw fault(1, "no header") }
      return columns(of: try header(of: reader)) != nil
    }
    guard fitting.count < 2 else {
      let names = fitting.map(\.name).joined(separator: " or ")
      throw fault(1, "its fields may end in \(names): choose by --caption-delimiter")
    }
    return fitting.first?.byte ?? UInt8(ascii: ",")
  }

  private func header(of reader: DelimitedRows) throws -> [String] {
    guard !reader.isTooLong else { throw fault(1, Self.tooLong) }
    return (0..<reader.count).map { reader.field($0) ?? "" }
  }

  /// The columns of images and captions; nil where one of them is not there.
  private func columns(of names: [String]) -> (image: Int, text: Int)? {
    let lower = names.map { $0.lowercased() }
    guard let image = Self.images.lazy.compactMap({ lower.firstIndex(of: $0) }).first,
      let text = rules.columns.lazy.compactMap({ lower.firstIndex(of: $0) }).first
    else { return nil }
    return (image, text)
  }

  /// The first column of texts that names images, and the first that captions are called by: where that
  /// one holds no texts, it is an error.
  private func readParquet(_ body: (Row) throws -> Void) throws {
    let file = try ParquetTexts(path: path)
    var names: [String: String] = [:]
    var repeated: Set<String> = []
    for column in file.columns {
      let name = column.name.lowercased()
      if names.updateValue(column.name, forKey: name) != nil { repeated.insert(name) }
    }
    let texts = Set(file.columns.filter(\.isText).map(\.name))
    let images = Self.images.lazy.compactMap { names[$0] }
    guard let image = images.first(where: texts.contains),
      let text = rules.columns.lazy.compactMap({ names[$0] }).first
    else { throw TesseraError.malformed(noColumns, file: path) }
    if let name = [image, text].first(where: { repeated.contains($0.lowercased()) }) {
      throw TesseraError.malformed(Self.twice(name), file: path)
    }
    try file.forEach([image, text]) { row, texts in
      guard let image = texts[0] else { throw fault(row, "no image") }
      try body(Row(image: image, captions: texts[1].map { [$0] }, line: row))
    }
  }

  private static let tooLong =
    "it takes more than \(DelimitedRows.longest) bytes; is there a quote that nothing closes?"

  private static func twice(_ name: String) -> String {
    "two columns '\(name)', upper and lower case alike: rename or remove one"
  }

  private var noColumns: String {
    "no columns of images (\(Self.images.joined(separator: ", "))) and captions "
      + "(\(rules.columns.joined(separator: ", ")))"
  }
}
