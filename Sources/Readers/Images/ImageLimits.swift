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

  /// 178,956,970 pixels (where Pillow refuses a "decompression bomb"), 256 MiB a file, 1 GiB for libjpeg.
  public static let standard = ImageLimits()
}
