/// What a file may demand; headers are checked against it before anything is decoded.
public struct ImageLimits: Hashable, Sendable {
  /// The most pixels, width × height, of a stored picture and of any intermediate one.
  public let pixels: Int
  /// The most bytes of an encoded file.
  public let bytes: Int
  /// The most bytes of libjpeg's working memory; only progressive pictures need much.
  public let workingMemory: Int

  /// Creates limits; the defaults are `standard`.
  public init(
    pixels: Int = 178_956_970,
    bytes: Int = 256 << 20,
    workingMemory: Int = 1 << 30
  ) {
    self.pixels = pixels
    self.bytes = bytes
    self.workingMemory = workingMemory
  }

  /// The limits for one file.
  ///
  /// A picture in few bytes is a blank one or a bomb, so its pixels are limited by them. A limit above
  /// the standard one is taken as it is.
  ///
  /// Up to 1 MiB, a file may have as many as the table of encodings says: 2^25 pixels, and 2^26 in a PNG or GIF,
  /// whose masks and drawings pack well; each further byte allows 64 more. libjpeg may keep 96 MiB, and 64 bytes for each further byte. A picture
  /// that is turned is held twice, so it may have half.
  ///
  /// - Parameter header: What the file says, and its size.
  /// - Returns: Limits that are nowhere above these.
  func scaled(to header: ImageHeader) -> ImageLimits {
    guard pixels <= Self.standard.pixels else { return self }
    let extra = 64 * max(0, min(header.fileBytes, bytes) - (1 << 20))
    let base = header.format.entry.pixelsOfSmallFiles
    let most = (base + extra) / (header.orientation == .upright ? 1 : 2)
    return ImageLimits(
      pixels: min(pixels, most),
      bytes: bytes,
      workingMemory: min(workingMemory, (96 << 20) + extra)
    )
  }

  /// 178,956,970 pixels (where Pillow refuses a "decompression bomb"), 256 MiB per file, 1 GiB for libjpeg.
  public static let standard = ImageLimits()
}
