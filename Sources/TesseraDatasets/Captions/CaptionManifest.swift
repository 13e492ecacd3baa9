import Foundation
import TesseraCore

/// A list of images and what is said of them: CSV, TSV, JSON Lines or Parquet.
struct CaptionManifest: Sendable {
  /// What is said of an image.
  enum Entry: Sendable {
    case text(String)
    /// Null, in this line or row: there is an entry, and no caption in it.
    case null(line: Int)
  }

  /// The captions by image, as the list names it.
  private var entries: [String: Entry] = [:]

  private let path: String

  private static let images = [
    "file_name", "filename", "image", "image_path", "path", "file", "source", "key",
  ]
  /// The most bytes of a path.
  private static let longestImage = 1 << 12
  /// The largest list that is read.
  private static let largest = 1 << 32

  init(path: String) throws {
    self.path = path
    let lower = path.lowercased()
    if lower.hasSuffix(".parquet") {
      try readParquet()
    } else if lower.hasSuffix(".jsonl") || lower.hasSuffix(".ndjson") {
      try readJSONLines(TextFile.bytes(of: path, maximumBytes: Self.largest))
    } else if lower.hasSuffix(".csv") || lower.hasSuffix(".tsv") {
      let separator = UInt8(ascii: lower.hasSuffix(".tsv") ? "\t" : ",")
      try readTable(TextFile.bytes(of: path, maximumBytes: Self.largest), separator)
    } else {
      throw TesseraError.malformed(
        "captions come from sidecar files, a .csv, .tsv, .jsonl or .parquet",
        file: path
      )
    }
    guard !entries.isEmpty else { throw TesseraError.malformed("it holds no caption", file: path) }
  }

  /// The caption of an image by a name of it; nil where the list has no such name.
  ///
  /// - Throws: ``CaptionFault`` where the list has the image, and no caption of it.
  func caption(of name: String) throws(CaptionFault) -> String? {
    switch entries[name] {
    case nil: return nil
    case .text(let text): return text
    case .null(let line):
      throw CaptionFault("null in \(place(line)); write a text, or leave the \(unit) out")
    }
  }

  private var unit: String { path.lowercased().hasSuffix(".parquet") ? "row" : "line" }
  private func place(_ line: Int) -> String { "\(path): \(unit) \(line)" }

  private func fault(_ line: Int, _ reason: String) -> TesseraError {
    TesseraError.malformed(reason, file: place(line))
  }

  private mutating func add(_ image: String, _ caption: String?, line: Int) throws {
    let plain = image.hasPrefix("./") ? String(image.dropFirst(2)) : image
    guard plain.utf8.count <= Self.longestImage else {
      throw fault(line, "the name of an image takes more than \(Self.longestImage) bytes")
    }
    guard caption?.utf8.count ?? 0 <= CaptionSource.longest else {
      throw fault(line, "a caption of more than \(CaptionSource.longest) bytes")
    }
    // As long as its bytes up to the first NUL: rows may share one long text, so this must be fast.
    let length = unsafe caption?.withCString { unsafe strlen($0) }
    guard length == caption?.utf8.count else {
      throw fault(line, "a caption with a NUL character")
    }
    let entry = caption.map(Entry.text) ?? .null(line: line)
    guard entries.updateValue(entry, forKey: plain) == nil else {
      throw fault(line, "'\(plain)' has a caption already")
    }
  }

  private mutating func readJSONLines(_ bytes: [UInt8]) throws {
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      if line.allSatisfy({ [0x20, 0x09, 0x0D].contains($0) }) { continue }
      do {
        let fields = try CaptionFields(parsing: Array(line))
        guard let image = fields.text(among: Self.images) else {
          throw CaptionFault("no image: one of \(Self.images.joined(separator: ", "))")
        }
        try add(image, fields.caption(), line: index + 1)
      } catch let error as CaptionFault {
        throw fault(index + 1, error.description)
      }
    }
  }

  private mutating func readTable(_ bytes: [UInt8], _ separator: UInt8) throws {
    var reader = TableReader(bytes: bytes, separator: separator)
    guard let header = reader.next() else { throw fault(1, "no header") }
    let names = header.fields.map { $0.lowercased() }
    guard let image = Self.images.lazy.compactMap({ names.firstIndex(of: $0) }).first,
      let text = CaptionFields.captions.lazy.compactMap({ names.firstIndex(of: $0) }).first
    else { throw fault(1, Self.noColumns) }
    for index in [image, text]
    where names.firstIndex(of: names[index]) != names.lastIndex(of: names[index]) {
      throw fault(1, Self.twice(header.fields[index]))
    }
    while let row = reader.next() {
      if row.fields == [""] { continue }
      guard row.fields.count == names.count else {
        throw fault(row.line, "\(row.fields.count) fields where the header has \(names.count)")
      }
      guard !row.isCut else { throw fault(row.line, "a quoted field without end") }
      guard row.isText else { throw fault(row.line, "not UTF-8") }
      try add(row.fields[image], row.fields[text], line: row.line)
    }
  }

  /// The first column of texts that names images, and the first that captions are called by: where that
  /// one holds no texts, it is an error.
  private mutating func readParquet() throws {
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
      let text = CaptionFields.captions.lazy.compactMap({ names[$0] }).first
    else { throw TesseraError.malformed(Self.noColumns, file: path) }
    if let name = [image, text].first(where: { repeated.contains($0.lowercased()) }) {
      throw TesseraError.malformed(Self.twice(name), file: path)
    }
    try file.forEach([image, text]) { row, texts in
      guard let image = texts[0] else { throw fault(row, "no image") }
      try add(image, texts[1], line: row)
    }
  }

  private static func twice(_ name: String) -> String {
    "two columns '\(name)', upper and lower case alike: rename or remove one"
  }

  private static let noColumns =
    "no columns of images (\(images.joined(separator: ", "))) and captions "
    + "(\(CaptionFields.captions.joined(separator: ", ")))"
}

/// Rows of fields between separators, quoted as RFC 4180 has it.
private struct TableReader {
  struct Row {
    let line: Int
    let fields: [String]
    let isText: Bool
    let isCut: Bool
  }

  private let bytes: [UInt8]
  private let separator: UInt8
  private var position: Int
  private var line = 1

  init(bytes: [UInt8], separator: UInt8) {
    self.bytes = bytes
    self.separator = separator
    position = 0
  }

  mutating func next() -> Row? {
    guard position < bytes.count else { return nil }
    let first = line
    var fields: [[UInt8]] = [[]]
    var isQuoted = false
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      if byte == 0x0A { line += 1 }
      if isQuoted {
        if byte != UInt8(ascii: "\"") {
          fields[fields.count - 1].append(byte)
        } else if position < bytes.count, bytes[position] == byte {
          fields[fields.count - 1].append(byte)
          position += 1
        } else {
          isQuoted = false
        }
      } else if byte == UInt8(ascii: "\""), fields[fields.count - 1].isEmpty {
        isQuoted = true
      } else if byte == separator {
        fields.append([])
      } else if byte == 0x0A {
        break
      } else {
        fields[fields.count - 1].append(byte)
      }
    }
    if let last = fields.last, last.last == 0x0D { fields[fields.count - 1].removeLast() }
    let texts = fields.map { String(validating: $0, as: UTF8.self) }
    return Row(
      line: first,
      fields: texts.map { $0 ?? "" },
      isText: !texts.contains(nil),
      isCut: isQuoted
    )
  }
}
