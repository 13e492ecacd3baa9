internal import CPNG
import TesseraCore

/// Reading PNG through libpng; writing stands in Writers.
enum PNGPicture {
  /// Its line of the table; masks and drawings pack well.
  static let entry = unsafe ImageFormatEntry(
    title: "PNG",
    endings: ["png"],
    signatures: [.init([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])],
    pixelsOfSmallFiles: 1 << 26,
    header: header,
    decode: decode,
    decodeRegion: nil
  )

  /// Reads everything but the pixels: size, orientation, whether there is transparency.
  static func header(
    of bytes: [UInt8],
    fileBytes: Int,
    limits: ImageLimits
  ) throws(TesseraError) -> ImageHeader {
    var failure = cpng_failure()
    var header = cpng_header()
    let isRead = unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe cpng_read_header(
        buffer.baseAddress,
        buffer.count,
        UInt64(clamping: limits.pixels),
        &header,
        &failure
      )
    }
    guard isRead else { throw TesseraError(failure) }
    let chunks = try PNGChunks(bytes)
    guard chunks.isWhole || bytes.count >= fileBytes else { throw PNGChunks.cut }
    return ImageHeader(
      format: .png,
      size: ImageSize(width: Int(header.width), height: Int(header.height)),
      orientation: chunks.sources.orientation,
      hasAlpha: header.has_alpha,
      fileBytes: fileBytes
    )
  }

  /// Decodes the whole picture; transparency is dropped or laid on white.
  static func decode(
    _ bytes: [UInt8],
    header: ImageHeader,
    by decoder: ImageDecoder
  ) throws(TesseraError) -> RGBXImage {
    let count = header.size.pixels * 4
    let (limits, truncation, alpha) = (decoder.limits, decoder.truncation, decoder.alpha)
    if truncation == .refuse, let fault = try PNGChunks(bytes).fault { throw fault }
    return try unsafe RGBXImage(width: header.size.width, height: header.size.height) {
      (target) throws(TesseraError) in
      var failure = cpng_failure()
      let isDecoded = unsafe bytes.withUnsafeBufferPointer { buffer in
        unsafe cpng_decode(
          buffer.baseAddress,
          buffer.count,
          UInt64(clamping: limits.pixels),
          truncation == .partialRows,
          alpha == .composited,
          target,
          count,
          &failure
        )
      }
      guard isDecoded else { throw TesseraError(failure) }
      unsafe alpha.lay(target, count: count, hasAlpha: header.hasAlpha)
    }
  }
}

extension TesseraError {
  fileprivate init(_ failure: cpng_failure) {
    let fault: PictureFault =
      switch failure.reason {
      case cpng_truncated: .truncated
      case cpng_over_limit: .overLimit
      case cpng_no_memory: .noMemory
      default: .malformed
      }
    self = .picture(fault, "PNG: \(Self.words(in: failure.text))")
  }
}
