import TesseraCore

/// The chunks of a PNG, as far as Pillow reads them: checksums count in front of the pixels alone.
struct PNGChunks {
  /// Where the picture says how it stands.
  private(set) var sources = OrientationSources()
  /// What is wrong in front of the pixels or behind them; it is an error unless partial rows are allowed.
  private(set) var fault: TesseraError?
  /// Whether the walk came to the end of the picture.
  private(set) var isWhole = false

  /// Exif data as text in hexadecimal digits, as ImageMagick writes them.
  private var profile: Text?

  /// The error of a file that is not all there.
  static var cut: TesseraError {
    .picture(.truncated, "PNG: the file ends before the picture does")
  }

  /// The keywords that matter.
  private enum Keyword {
    static let exif = Array("exif".utf8)
    static let profile = Array("Raw profile type exif".utf8)
    static let packet = Array("XML:com.adobe.xmp".utf8)
  }

  /// A text that is unpacked only where it is needed.
  private struct Text {
    let bytes: ArraySlice<UInt8>
    let isPacked: Bool

    /// Pillow's most bytes of a text.
    static let most = 1 << 20

    var unpacked: ArraySlice<UInt8> {
      isPacked ? (Inflation.zlib(bytes, most: Self.most) ?? [])[...] : bytes
    }
  }

  /// Walks through the chunks.
  ///
  /// - Throws: `TesseraError` where a chunk without which there is no picture has a wrong checksum, or
  ///   the bytes end in front of the pixels.
  init(_ bytes: [UInt8]) throws(TesseraError) {
    var at = 8
    var isBehind = false
    var packet: Text?
    while at + 8 <= bytes.count {
      let kind = bytes[(at + 4)..<(at + 8)]
      let length = bytes[at..<(at + 4)].reduce(0) { $0 << 8 | Int($1) }
      let (start, end) = (at + 8, at + 8 + length)
      guard kind.allSatisfy(Self.isLetter) else {
        if !isBehind { fault = fault ?? .damagedPNG("chunk at byte \(at) has no name") }
        isWhole = true
        break
      }
      let name = String(decoding: kind, as: UTF8.self)
      if name == "IDAT" { isBehind = true }
      if name == "IEND" {
        isWhole = true
        break
      }
      guard end <= bytes.count, isBehind || end + 4 <= bytes.count else {
        if !isBehind { throw Self.cut }
        if name != "IDAT" { fault = fault ?? Self.cut }
        break
      }
      if !isBehind { try check(bytes, at: at, end: end, name: name) }
      take(bytes[start..<end], name: name, packet: &packet)
      at = end + 4
    }
    if !isBehind, !isWhole { throw Self.cut }
    if let packet { sources.xmp = packet.unpacked }
    if sources.exif == nil, let profile { sources.exif = Self.digits(profile.unpacked) }
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 65...90, 95, 97...122: true
    default: false
    }
  }

  private mutating func check(
    _ bytes: [UInt8],
    at start: Int,
    end: Int,
    name: String
  ) throws(TesseraError) {
    let stored = bytes[end..<(end + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    guard ZipChecksum.crc32(bytes[(start + 4)..<end]) != stored else { return }
    let wrong = TesseraError.damagedPNG("the checksum of \(name) at byte \(start) does not match")
    // The case of the first letter says whether a picture can do without the chunk.
    guard bytes[start + 4] & 0x20 != 0 else { throw wrong }
    fault = fault ?? wrong
  }

  private mutating func take(_ data: ArraySlice<UInt8>, name: String, packet: inout Text?) {
    if name == "eXIf" { sources.exif = OrientationSources.exifMark + data }
    guard let (keyword, text) = Self.text(data, name: name) else { return }
    switch keyword {
    // Pillow takes the bytes of a plain text for Exif data, and stumbles over other texts.
    case Keyword.exif[...]: sources.exif = name == "tEXt" ? Array(text.bytes) : [0]
    case Keyword.profile[...]: profile = text
    case Keyword.packet[...]: packet = text
    default: break
    }
  }

  /// Keyword and text of a chunk that holds them.
  private static func text(
    _ data: ArraySlice<UInt8>,
    name: String
  ) -> (keyword: ArraySlice<UInt8>, Text)? {
    guard ["tEXt", "zTXt", "iTXt"].contains(name) else { return nil }
    let end = data.firstIndex(of: 0) ?? data.endIndex
    let (keyword, rest) = (data[..<end], data[end...].dropFirst())
    switch name {
    case "tEXt": return (keyword, Text(bytes: rest, isPacked: false))
    case "zTXt":
      guard rest.first ?? 0 == 0 else { return nil }
      return (keyword, Text(bytes: rest.dropFirst(), isPacked: true))
    default:
      // Flag and method of packing, then a language and the keyword in it, each ended by a zero.
      guard let flag = rest.first, let method = rest.dropFirst().first, flag == 0 || method == 0
      else { return nil }
      let parts = rest.dropFirst(2).split(
        separator: 0,
        maxSplits: 2,
        omittingEmptySubsequences: false
      )
      guard parts.count == 3 else { return nil }
      return (keyword, Text(bytes: parts[2], isPacked: flag != 0))
    }
  }

  /// The bytes behind the third end of a line, where every other byte is a pair of digits; what has
  /// others is no Exif data that can be read.
  private static func digits(_ text: ArraySlice<UInt8>) -> [UInt8] {
    let lines = text.split(separator: 10, maxSplits: 3, omittingEmptySubsequences: false)
    guard lines.count == 4 else { return [] }
    var result: [UInt8] = []
    var high: UInt8?
    for byte in lines[3] where byte != 10 {
      if high == nil, (9...13).contains(byte) || byte == 32 { continue }
      guard let digit = Character(UnicodeScalar(byte)).hexDigitValue, byte < 128 else { return [0] }
      if let first = high {
        result.append(first << 4 | UInt8(digit))
        high = nil
      } else {
        high = UInt8(digit)
      }
    }
    return high == nil ? result : [0]
  }
}

extension TesseraError {
  fileprivate static func damagedPNG(_ words: String) -> TesseraError {
    .picture(.malformed, "PNG: \(words)")
  }
}
