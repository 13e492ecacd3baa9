public import TesseraCore

/// The encodings that are read, recognised by their first bytes, never by a name.
public enum ImageFormat: String, Hashable, Sendable, Codable {
  case jpeg
  case png
}

/// What becomes of transparency in a PNG.
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
  /// The rows that are there; the others are what libjpeg makes of nothing (gray), or black in a PNG.
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
  /// Whether a PNG has transparency.
  public let hasAlpha: Bool
  /// The bytes of the whole file.
  public internal(set) var fileBytes: Int
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
    var header: ImageHeader
    switch try format(of: start) {
    case .jpeg: header = try JPEGFile.header(of: start, limits: limits)
    case .png: header = try PNGPicture.header(of: start, limits: limits)
    }
    header.fileBytes = count
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
    let limits = limits.scaled(to: header)
    let pixels: RGBXImage
    switch header.format {
    case .jpeg:
      pixels = try unsafe RGBXImage(width: header.size.width, height: header.size.height) {
        (target) throws(TesseraError) in
        let stride = header.size.width * 4
        try unsafe JPEGFile.decode(
          bytes,
          region: PixelBox(size: header.size),
          limits: limits,
          truncation: truncation
        ) { y, row in
          unsafe (target + y * stride).update(from: row, count: stride)
        }
      }
    case .png:
      pixels = try PNGPicture.decode(
        bytes,
        header: header,
        limits: limits,
        truncation: truncation,
        alpha: alpha
      )
    }
    return DecodedImage(format: header.format, orientation: header.orientation, pixels: pixels)
  }

  private func format(of bytes: [UInt8]) throws(TesseraError) -> ImageFormat {
    if bytes.starts(with: JPEGFile.signature) { return .jpeg }
    if bytes.starts(with: PNGPicture.signature) { return .png }
    if bytes.isEmpty { throw TesseraError.picture(.truncated, "the file is empty") }
    if let words = FailedDownload.words(for: bytes.prefix(256)) {
      throw TesseraError.picture(.unsupported, words)
    }
    guard let name = Self.otherFormat(of: bytes) else {
      throw TesseraError.picture(.unsupported, "neither JPEG nor PNG, by its first bytes")
    }
    throw TesseraError.picture(.unsupported, "\(name), neither JPEG nor PNG")
  }

  /// The name of a well-known format that is not read.
  private static func otherFormat(of bytes: [UInt8]) -> String? {
    let known: [(String, Int, [UInt8])] = [
      ("GIF", 0, Array("GIF8".utf8)), ("WebP", 8, Array("WEBP".utf8)),
      ("AVIF or HEIF", 4, Array("ftyp".utf8)), ("BMP", 0, Array("BM".utf8)),
      ("TIFF", 0, Array("II*\0".utf8)), ("TIFF", 0, Array("MM\0*".utf8)),
      ("JPEG 2000", 4, Array("jP  ".utf8)), ("JPEG XL", 0, [0xFF, 0x0A]),
      ("JPEG XL", 4, Array("JXL ".utf8)), ("SVG or XML", 0, Array("<".utf8)),
      ("PDF", 0, Array("%PDF".utf8)), ("PNM", 0, Array("P6".utf8)),
      ("PNM", 0, Array("P5".utf8)),
    ]
    return known.first { bytes.dropFirst($0.1).starts(with: $0.2) }?.0
  }
}
