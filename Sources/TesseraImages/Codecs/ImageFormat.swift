import TesseraCore

/// The encodings that are read, recognised by their first bytes, never by a name.
public enum ImageFormat: String, Hashable, Sendable, Codable, CaseIterable {
  case jpeg
  case png
  case webp
  case gif
}

/// One line of the table of encodings: all that is asked of one, in one place.
@safe struct ImageFormatEntry: Sendable {
  /// Bytes at an offset of the file by which an encoding is known.
  struct Signature: Sendable {
    let offset: Int
    let bytes: [UInt8]
    /// What the file starts with besides.
    let first: [UInt8]

    init(_ bytes: [UInt8], at offset: Int = 0, behind first: [UInt8] = []) {
      self.bytes = bytes
      self.offset = offset
      self.first = first
    }

    func matches(_ start: some Sequence<UInt8>) -> Bool {
      let start = Array(start.prefix(offset + bytes.count))
      return start.starts(with: first) && start.dropFirst(offset).starts(with: bytes)
    }
  }

  /// Takes each row's number in a region and its pixels, 4 bytes each.
  typealias Row = (Int, UnsafePointer<UInt8>) -> Void

  /// What messages call it.
  let title: String
  /// How names of its files end, in lower case, without the dot.
  let endings: [String]
  /// Any of them makes a file one of these.
  let signatures: [Signature]
  /// The most pixels of a file of up to 1 MiB: see ``ImageLimits``.
  let pixelsOfSmallFiles: Int
  /// Reads what a file says beside its pixels from its first bytes.
  ///
  /// Where more bytes are needed, the error is the one of a cut file.
  let header:
    @Sendable (_ start: [UInt8], _ fileBytes: Int, _ limits: ImageLimits) throws(TesseraError)
      -> ImageHeader
  /// Decodes the whole picture; transparency is dropped or laid on white.
  let decode:
    @Sendable (_ bytes: [UInt8], _ header: ImageHeader, _ decoder: ImageDecoder)
      throws(TesseraError) -> RGBXImage
  /// Decodes a part of an opaque picture, where that is cheaper than the whole.
  let decodeRegion:
    (
      @Sendable (_ bytes: [UInt8], _ region: PixelBox, _ decoder: ImageDecoder, _ row: Row)
        throws(TesseraError) -> Void
    )?
}

extension ImageFormat {
  /// The line of the table.
  var entry: ImageFormatEntry {
    switch self {
    case .jpeg: JPEGFile.entry
    case .png: PNGPicture.entry
    case .webp: WebPFile.entry
    case .gif: GIFFile.entry
    }
  }

  /// What is said of a file that is in no encoding of the table, such as `not JPEG, PNG or WebP`.
  static var none: String { "not \(list(allCases.map(\.entry.title)))" }
  /// How names of images end, such as `.jpg, .jpeg or .png`.
  public static var endings: String { list(allCases.flatMap(\.entry.endings).map { ".\($0)" }) }

  private static func list(_ words: [String]) -> String {
    guard let last = words.last, words.count > 1 else { return words.joined() }
    return words.dropLast().joined(separator: ", ") + " or " + last
  }

  /// The encoding of a file by its first bytes; nil where it is none that is read.
  init?(of bytes: some Sequence<UInt8>) {
    let known = Self.allCases.first { format in
      format.entry.signatures.contains { $0.matches(bytes) }
    }
    guard let known else { return nil }
    self = known
  }

  /// The name of a well-known encoding that is not read.
  static func unread(_ bytes: [UInt8]) -> String? {
    let known: [(String, Int, [UInt8])] = [
      ("AVIF or HEIF", 4, Array("ftyp".utf8)), ("BMP", 0, Array("BM".utf8)),
      ("TIFF", 0, Array("II*\0".utf8)), ("TIFF", 0, Array("MM\0*".utf8)),
      ("JPEG 2000", 4, Array("jP  ".utf8)), ("JPEG XL", 0, [0xFF, 0x0A]),
      ("JPEG XL", 4, Array("JXL ".utf8)), ("SVG or XML", 0, Array("<".utf8)),
      ("PDF", 0, Array("%PDF".utf8)), ("PNM", 0, Array("P6".utf8)),
      ("PNM", 0, Array("P5".utf8)),
    ]
    return known.first { ImageFormatEntry.Signature($0.2, at: $0.1).matches(bytes) }?.0
  }
}
