extension ImageFormat {
  /// How many bytes of a file's start say whether it is a picture.
  static let recognisedBytes = 32

  /// Whether a file is a picture by its first bytes: of an encoding that is read, or of another well-known one.
  ///
  /// Stricter than what a decoder is chosen by: text that begins with `BM` or `<` is no picture.
  static func isPicture(_ start: [UInt8]) -> Bool {
    func begins(_ text: String, at offset: Int = 0) -> Bool {
      start.dropFirst(offset).starts(with: text.utf8)
    }
    if begins("<") || begins("%PDF") { return false }
    if begins("BM") { return isBitmap(start) }
    if begins("WEBP", at: 8) { return begins("RIFF") }
    if begins("ftyp", at: 4) { return isStill(start) }
    if start.count > 2, start[0] == UInt8(ascii: "P"), start[1] < 0x80 { return isPNM(start) }
    return ImageFormat(of: start) != nil || unread(start) != nil
  }

  /// `BM` in front of one of the headers of Windows and OS/2, whose sizes are known.
  private static func isBitmap(_ start: [UInt8]) -> Bool {
    guard start.count >= 18 else { return false }
    let header = start[14..<18].reversed().reduce(0) { $0 << 8 | Int($1) }
    return [12, 16, 40, 52, 56, 64, 108, 124].contains(header)
  }

  /// A box of a still picture or of a sequence of pictures, and not of a video.
  private static func isStill(_ start: [UInt8]) -> Bool {
    let brands = ["avif", "avis", "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"]
    return brands.contains { start.dropFirst(8).starts(with: $0.utf8) }
  }

  /// `P1` to `P6`, white space, and a number or a remark.
  private static func isPNM(_ start: [UInt8]) -> Bool {
    let next = start.count > 3 ? start[3] : 0
    return (UInt8(ascii: "1")...UInt8(ascii: "6")).contains(start[1])
      && [0x20, 0x09, 0x0A, 0x0D].contains(start[2])
      && ((UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) || next == UInt8(ascii: "#"))
  }
}
