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
    header: { (bytes, limits) throws(TesseraError) in try header(of: bytes, limits: limits) },
    decode: { (bytes, header, decoder) throws(TesseraError) in
      try decode(bytes, header: header, by: decoder)
    },
    decodeRegion: nil
  )

  /// Reads everything in front of the pixels: size, orientation, whether there is transparency.
  static func header(
    of bytes: [UInt8],
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
    let exif = bytes[header.exif_offset..<(header.exif_offset + Int(header.exif_count))]
    return ImageHeader(
      format: .png,
      size: ImageSize(width: Int(header.width), height: Int(header.height)),
      orientation: ExifOrientation(tiff: exif) ?? .upright,
      hasAlpha: header.has_alpha,
      fileBytes: bytes.count
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
    return try unsafe RGBXImage(width: header.size.width, height: header.size.height) {
      (target) throws(TesseraError) in
      var failure = cpng_failure()
      // Missing rows of a cut file stay black.
      if truncation == .partialRows { unsafe target.initialize(repeating: 0, count: count) }
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
      switch alpha {
      case .drop: break
      case .onWhite: if header.hasAlpha { unsafe layOnWhite(target, count: count, blended) }
      case .composited: unsafe layOnWhite(target, count: count, composited)
      }
    }
  }

  private static func layOnWhite(
    _ pixels: UnsafeMutablePointer<UInt8>,
    count: Int,
    _ rule: (_ value: UInt8, _ alpha: UInt8) -> UInt8
  ) {
    for pixel in stride(from: 0, to: count, by: 4) where unsafe pixels[pixel + 3] != 255 {
      let alpha = unsafe pixels[pixel + 3]
      for channel in pixel..<(pixel + 3) {
        unsafe pixels[channel] = rule(pixels[channel], alpha)
      }
    }
  }

  /// Chameleon's rule: (1 - a) 255 + a v in float64 with a = alpha / 255, then cut to an integer.
  private static func blended(_ value: UInt8, _ alpha: UInt8) -> UInt8 {
    let alpha = Double(alpha) / 255
    return UInt8((1 - alpha) * 255 + alpha * Double(value))
  }

  /// Pillow's `alpha_composite` on opaque white: the same in integers, rounded.
  private static func composited(_ value: UInt8, _ alpha: UInt8) -> UInt8 {
    let sum = Int(alpha) * Int(value) + 255 * (255 - Int(alpha))
    return UInt8((2 * sum + 255) / 510)
  }
}

extension TesseraError {
  fileprivate init(_ failure: cpng_failure) {
    let text = unsafe withUnsafeBytes(of: failure.text) { text in
      unsafe String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
    }
    let fault: PictureFault =
      switch failure.reason {
      case cpng_truncated: .truncated
      case cpng_over_limit: .overLimit
      case cpng_no_memory: .noMemory
      default: .malformed
      }
    self = .picture(fault, "PNG: \(text)")
  }
}
