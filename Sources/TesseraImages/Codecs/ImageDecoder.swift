public import TesseraCore

/// What becomes of transparency.
public enum AlphaRule: String, Hashable, Sendable, Codable, CaseIterable {
  /// The colors as they stand, as Pillow's `convert("RGB")`.
  case drop
  /// Laid on white and cut to integers, as Chameleon does it.
  case onWhite = "white"
  /// Laid on white and rounded, as Pillow's `alpha_composite` and so Transformers' `convert_to_rgb`
  /// do it; the transparent color that an RGB picture may name counts too.
  case composited = "composite"
}

/// What becomes of a file that ends before its picture does.
public enum TruncationRule: String, Hashable, Sendable, Codable, CaseIterable {
  /// An error.
  case refuse
  /// The rows that are there, also of a PNG or GIF that is damaged; the others are what libjpeg makes of
  /// nothing (gray), samples of 0 in a PNG, the transparent or first color in a GIF. Other encodings are read whole or not at all.
  case partialRows = "partial"
}

/// What a file says before its pixels are decoded.
public struct ImageHeader: Hashable, Sendable {
  /// The encoding.
  public let format: ImageFormat
  /// The size of the picture as stored, before any orientation is applied.
  public let size: ImageSize
  /// How the stored picture is to be turned.
  public let orientation: ExifOrientation
  /// Whether the picture has transparency, other than one transparent color.
  public let hasAlpha: Bool
  /// The bytes of the whole file.
  public let fileBytes: Int
}

/// A picture as stored, and how it wants to be turned.
public struct DecodedImage: Hashable, Sendable {
  /// The encoding it came from.
  public let format: ImageFormat
  /// The Exif orientation, not yet applied.
  public let orientation: ExifOrientation
  let pixels: RGBXImage

  /// Width and height as stored.
  public var size: ImageSize { pixels.size }
  /// The pixels as stored.
  public var image: RGBImage { pixels.packed }
}

/// Turns encoded bytes into pixels, equal to Pillow's `Image.open(…).convert("RGB")`.
///
/// Two exceptions: a 16-bit gray PNG keeps the high byte of each sample, as 16-bit RGB does, where
/// Pillow clips every value above 255 to white; and a transparent color is looked for in all bits that
/// a PNG of other than 8 bits has, where Pillow compares it with the bytes that it made of them.
public struct ImageDecoder: Hashable, Sendable {
  /// What a file may demand.
  public let limits: ImageLimits
  /// What becomes of transparency.
  public let alpha: AlphaRule
  /// What becomes of a cut file.
  public let truncation: TruncationRule

  /// Creates a decoder.
  public init(
    limits: ImageLimits = .standard,
    alpha: AlphaRule = .drop,
    truncation: TruncationRule = .refuse
  ) {
    self.limits = limits
    self.alpha = alpha
    self.truncation = truncation
  }

  /// Reads the header alone and checks it against the limits.
  public func header(of bytes: [UInt8]) throws(TesseraError) -> ImageHeader {
    try header(of: bytes, ofFileOf: bytes.count)
  }

  /// Reads the header at the start of a file of so many bytes.
  func header(of start: [UInt8], ofFileOf count: Int) throws(TesseraError) -> ImageHeader {
    guard count <= limits.bytes else {
      throw TesseraError.picture(.overLimit, "\(count) bytes; the limit is \(limits.bytes)")
    }
    let header = try format(of: start).entry.header(start, count, limits)
    let most = limits.scaled(to: header).pixels
    guard header.size.pixels <= most else {
      throw TesseraError.picture(
        .overLimit,
        "\(header.size) pixels in \(count) bytes, where \(most) are the limit; a --max-pixels above "
          + "\(ImageLimits.standard.pixels) lifts it"
      )
    }
    return header
  }

  /// Decodes a whole picture.
  public func decode(_ bytes: [UInt8]) throws(TesseraError) -> DecodedImage {
    try decode(bytes, header: header(of: bytes))
  }

  func decode(_ bytes: [UInt8], header: ImageHeader) throws(TesseraError) -> DecodedImage {
    let pixels = try header.format.entry.decode(bytes, header, scaled(to: header))
    return DecodedImage(format: header.format, orientation: header.orientation, pixels: pixels)
  }

  /// The same decoder with the limits of one file.
  func scaled(to header: ImageHeader) -> ImageDecoder {
    ImageDecoder(limits: limits.scaled(to: header), alpha: alpha, truncation: truncation)
  }

  private func format(of bytes: [UInt8]) throws(TesseraError) -> ImageFormat {
    if let format = ImageFormat(of: bytes) { return format }
    if bytes.isEmpty { throw TesseraError.picture(.truncated, "the file is empty") }
    if let words = FailedDownload.words(for: bytes.prefix(256)) {
      throw TesseraError.picture(.unsupported, words)
    }
    let name = ImageFormat.unread(bytes)
    throw TesseraError.picture(
      .unsupported,
      name.map { "\($0), \(ImageFormat.none)" } ?? "\(ImageFormat.none), by its first bytes"
    )
  }
}
