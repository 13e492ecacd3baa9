internal import CGIF
import TesseraCore

/// GIF through giflib: the only file that calls the C target.
enum GIFFile {
  /// Its line of the table.
  static let entry = unsafe ImageFormatEntry(
    title: "GIF",
    endings: ["gif"],
    signatures: [.init(Array("GIF87a".utf8)), .init(Array("GIF89a".utf8))],
    pixelsOfSmallFiles: 1 << 26,
    header: header,
    decode: decode,
    decodeRegion: nil
  )

  /// Reads size and transparency.
  static func header(
    of bytes: [UInt8],
    fileBytes: Int,
    limits: ImageLimits
  ) throws(TesseraError) -> ImageHeader {
    var failure = cgif_failure()
    var header = cgif_header()
    let isRead = unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe cgif_read_header(
        buffer.baseAddress,
        buffer.count,
        UInt64(clamping: limits.pixels),
        &header,
        &failure
      )
    }
    guard isRead else { throw TesseraError(failure) }
    return ImageHeader(
      format: .gif,
      size: ImageSize(width: Int(header.width), height: Int(header.height)),
      orientation: .upright,
      hasAlpha: header.has_alpha,
      fileBytes: fileBytes
    )
  }

  /// Decodes the first frame; transparency is dropped or laid on white.
  private static func decode(
    _ bytes: [UInt8],
    header: ImageHeader,
    by decoder: ImageDecoder
  ) throws(TesseraError) -> RGBXImage {
    let count = header.size.pixels * 4
    return try unsafe RGBXImage(width: header.size.width, height: header.size.height) {
      (target) throws(TesseraError) in
      var failure = cgif_failure()
      let isDecoded = unsafe bytes.withUnsafeBufferPointer { buffer in
        unsafe cgif_decode(
          buffer.baseAddress,
          buffer.count,
          UInt64(clamping: decoder.limits.pixels),
          decoder.truncation == .partialRows,
          target,
          count,
          &failure
        )
      }
      guard isDecoded else { throw TesseraError(failure) }
      unsafe decoder.alpha.lay(target, count: count, hasAlpha: header.hasAlpha)
    }
  }
}

extension TesseraError {
  fileprivate init(_ failure: cgif_failure) {
    let fault: PictureFault =
      switch failure.reason {
      case cgif_truncated: .truncated
      case cgif_over_limit: .overLimit
      case cgif_no_memory: .noMemory
      default: .malformed
      }
    self = .picture(fault, "GIF: \(Self.words(in: failure.text))")
  }
}
