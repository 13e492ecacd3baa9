internal import CWebP
import TesseraCore

/// WebP through libwebp: the only file that calls the C target.
enum WebPFile {
  /// Its line of the table.
  static let entry = unsafe ImageFormatEntry(
    title: "WebP",
    endings: ["webp"],
    signatures: [.init(Array("WEBPVP8".utf8), at: 8, behind: Array("RIFF".utf8))],
    pixelsOfSmallFiles: 1 << 25,
    header: header,
    decode: decode,
    decodeRegion: nil
  )

  /// Reads size, transparency and orientation.
  static func header(
    of bytes: [UInt8],
    fileBytes: Int,
    limits: ImageLimits
  ) throws(TesseraError) -> ImageHeader {
    var failure = cwebp_failure()
    var header = cwebp_header()
    let isRead = unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe cwebp_read_header(
        buffer.baseAddress,
        buffer.count,
        fileBytes,
        UInt64(clamping: limits.pixels),
        &header,
        &failure
      )
    }
    guard isRead else { throw TesseraError(failure, isCut: bytes.count < fileBytes) }
    var sources = OrientationSources()
    if header.exif.count > 0 { sources.exif = Array(bytes[header.exif]) }
    sources.xmp = bytes[header.xmp]
    return ImageHeader(
      format: .webp,
      size: ImageSize(width: Int(header.width), height: Int(header.height)),
      orientation: sources.orientation,
      hasAlpha: header.has_alpha,
      fileBytes: fileBytes
    )
  }

  /// Decodes the picture, of an animation the first frame; transparency is dropped or laid on white.
  private static func decode(
    _ bytes: [UInt8],
    header: ImageHeader,
    by decoder: ImageDecoder
  ) throws(TesseraError) -> RGBXImage {
    let count = header.size.pixels * 4
    return try unsafe RGBXImage(width: header.size.width, height: header.size.height) {
      (target) throws(TesseraError) in
      var failure = cwebp_failure()
      let isDecoded = unsafe bytes.withUnsafeBufferPointer { buffer in
        unsafe cwebp_decode(
          buffer.baseAddress,
          buffer.count,
          UInt64(clamping: decoder.limits.pixels),
          target,
          count,
          &failure
        )
      }
      guard isDecoded else { throw TesseraError(failure, isCut: false) }
      unsafe decoder.alpha.lay(target, count: count, hasAlpha: header.hasAlpha)
    }
  }
}

extension [UInt8] {
  fileprivate subscript(part: cwebp_part) -> ArraySlice<UInt8> {
    self[part.offset..<(part.offset + part.count)]
  }
}

extension TesseraError {
  /// A cut file is damaged, whatever the rule: libwebp makes no rows of it.
  ///
  /// - Parameters:
  ///   - failure: What libwebp says.
  ///   - isCut: Whether more of the file can be had.
  fileprivate init(_ failure: cwebp_failure, isCut: Bool) {
    let fault: PictureFault =
      switch failure.reason {
      case cwebp_truncated: isCut ? .truncated : .malformed
      case cwebp_over_limit: .overLimit
      case cwebp_no_memory: .noMemory
      default: .malformed
      }
    self = .picture(fault, "WebP: \(Self.words(in: failure.text))")
  }
}
