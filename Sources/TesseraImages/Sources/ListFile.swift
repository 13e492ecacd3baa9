import TesseraCore

/// A list of paths: one per line, with or without a byte order mark, its lines ended as Unix, Windows or old
/// Macs end them.
enum ListFile {
  /// The lines that are not empty, with their numbers from 1.
  ///
  /// - Throws: `TesseraError` where the list cannot be read, is too long or is no UTF-8.
  static func lines(of list: String) throws -> [(number: Int, text: ArraySlice<UInt8>)] {
    let file = try FileRegion(path: list)
    guard file.length <= 1 << 30 else {
      throw TesseraError.malformed("a list of more than 1 GiB: split it", file: list)
    }
    let (feed, carriage) = (UInt8(ascii: "\n"), UInt8(ascii: "\r"))
    let bytes = try TextFile.unmarked(file.bytes(0..<file.length), from: list)
    let separator = bytes.contains(feed) ? feed : carriage
    return bytes.split(separator: separator, omittingEmptySubsequences: false).enumerated()
      .compactMap { index, line in
        let text = line.last == carriage ? line.dropLast() : line
        return text.isEmpty ? nil : (index + 1, text)
      }
  }
}
