internal import CJPEG
import TesseraCore

/// JPEG through libjpeg-turbo: the only file that calls the C target.
enum JPEGFile {
  /// Its line of the table; the signature is the start of the image and the next marker.
  static let entry = unsafe ImageFormatEntry(
    title: "JPEG",
    endings: ["jpg", "jpeg", "jfif", "jpe"],
    signatures: [.init([0xFF, 0xD8, 0xFF])],
    pixelsOfSmallFiles: 1 << 25,
    header: header,
    decode: { (bytes, header, decoder) throws(TesseraError) in
      try unsafe RGBXImage(width: header.size.width, height: header.size.height) {
        (target) throws(TesseraError) in
        let stride = header.size.width * 4
        try unsafe decode(bytes, region: PixelBox(size: header.size), by: decoder) { y, row in
          unsafe (target + y * stride).update(from: row, count: stride)
        }
      }
    },
    decodeRegion: { (bytes, region, decoder, row) throws(TesseraError) in
      try unsafe decode(bytes, region: region, by: decoder, row: row)
    }
  )

  /// Reads the header: size and orientation.
  static func header(
    of bytes: [UInt8],
    fileBytes: Int,
    limits: ImageLimits
  ) throws(TesseraError) -> ImageHeader {
    var failure = cjpeg_failure()
    var header = cjpeg_header()
    var allowed = limits.forJPEG(truncation: .refuse)
    let isRead = unsafe bytes.withUnsafeBufferPointer { buffer in
      unsafe cjpeg_read_header(buffer.baseAddress, buffer.count, &allowed, &header, &failure)
    }
    guard isRead else { throw TesseraError(failure) }
    return ImageHeader(
      format: .jpeg,
      size: ImageSize(width: Int(header.width), height: Int(header.height)),
      orientation: OrientationSources(jpeg: bytes).orientation,
      hasAlpha: false,
      fileBytes: fileBytes
    )
  }

  /// Decodes a region; `row` gets each row's number in the region and its pixels, 4 bytes each.
  static func decode(
    _ bytes: [UInt8],
    region: PixelBox,
    by decoder: ImageDecoder,
    row: ImageFormatEntry.Row
  ) throws(TesseraError) {
    var failure = cjpeg_failure()
    var allowed = decoder.limits.forJPEG(truncation: decoder.truncation)
    let part = cjpeg_region(
      left: UInt32(region.left),
      top: UInt32(region.top),
      width: UInt32(region.width),
      height: UInt32(region.height)
    )
    let isDecoded = unsafe withoutActuallyEscaping(row) { row in
      var sink = unsafe RowSink(body: row)
      return unsafe withUnsafeMutablePointer(to: &sink) { sink in
        unsafe bytes.withUnsafeBufferPointer { buffer in
          unsafe cjpeg_decode(
            buffer.baseAddress,
            buffer.count,
            &allowed,
            part,
            RowSink.receive,
            sink,
            &failure
          )
        }
      }
    }
    guard isDecoded else { throw TesseraError(failure) }
  }
}

/// What the C callback finds behind its pointer.
@safe private struct RowSink {
  let body: ImageFormatEntry.Row

  static let receive: cjpeg_row = { sink, y, pixels in
    guard let sink = unsafe sink, let pixels = unsafe pixels else { return }
    unsafe sink.assumingMemoryBound(to: RowSink.self).pointee.body(Int(y), pixels)
  }
}

extension ImageLimits {
  fileprivate func forJPEG(truncation: TruncationRule) -> cjpeg_limits {
    cjpeg_limits(
      pixels: UInt64(clamping: pixels),
      memory: workingMemory,
      partial_rows: truncation == .partialRows
    )
  }
}

extension TesseraError {
  fileprivate init(_ failure: cjpeg_failure) {
    let fault: PictureFault =
      switch failure.reason {
      case cjpeg_truncated: .truncated
      case cjpeg_unsupported: .unsupported
      case cjpeg_over_limit: .overLimit
      case cjpeg_no_memory: .noMemory
      default: .malformed
      }
    self = .picture(fault, "JPEG: \(Self.words(in: failure.text))")
  }
}
