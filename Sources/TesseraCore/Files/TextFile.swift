/// Text that people's editors, spreadsheets and scripts write: UTF-8, with or without a byte order mark.
package enum TextFile {
  private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

  /// The bytes of a text file without the mark.
  ///
  /// - Throws: `TesseraError` for text of 16 or 32 bits.
  package static func bytes(of path: String, maximumBytes: Int) throws -> [UInt8] {
    try unmarked(FileDigest.bytes(of: path, maximumBytes: maximumBytes), from: path)
  }

  /// The bytes of a text without the mark.
  ///
  /// - Throws: ``TesseraError`` for text of 16 or 32 bits.
  package static func unmarked(
    _ bytes: [UInt8],
    from source: String
  ) throws(TesseraError) -> [UInt8] {
    let starts: [[UInt8]] = [[0xFF, 0xFE], [0xFE, 0xFF], [0, 0, 0xFE, 0xFF]]
    guard !starts.contains(where: bytes.starts(with:)) else {
      throw TesseraError.malformed("UTF-16 or UTF-32 text; save it as UTF-8", file: source)
    }
    return bytes.starts(with: mark) ? Array(bytes.dropFirst(mark.count)) : bytes
  }

  /// A text without the mark.
  ///
  /// - Throws: ``TesseraError`` for what is no UTF-8, and for NUL bytes, which no text has.
  package static func text(of bytes: [UInt8], from source: String) throws(TesseraError) -> String {
    guard let text = String(validating: try unmarked(bytes, from: source), as: UTF8.self) else {
      throw TesseraError.malformed("not UTF-8; save it as UTF-8", file: source)
    }
    guard !text.utf8.contains(0) else {
      let reason = "it has NUL bytes, as UTF-16 has; save it as UTF-8"
      throw TesseraError.malformed(reason, file: source)
    }
    return text
  }
}
