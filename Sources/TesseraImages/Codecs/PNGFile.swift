internal import CPNG
public import TesseraCore

/// Writes pictures as PNG.
public enum PNGFile {
  /// Encodes 8-bit RGB: one filter, one compression level, no clock, so that equal pictures give
  /// equal bytes with one version of zlib.
  ///
  /// - Throws: A `TesseraError` for an empty picture or one that libpng refuses.
  public static func encode(_ image: RGBImage) throws(TesseraError) -> [UInt8] {
    var failure = cpng_failure()
    var file: [UInt8] = []
    file.reserveCapacity(image.pixels.count / 2 + 1024)
    let isWritten = unsafe withUnsafeMutablePointer(to: &file) { file in
      unsafe image.pixels.withUnsafeBufferPointer { pixels in
        unsafe cpng_encode(
          pixels.baseAddress,
          UInt32(image.width),
          UInt32(image.height),
          { sink, bytes, count in
            unsafe sink?.assumingMemoryBound(to: [UInt8].self).pointee.append(
              contentsOf: UnsafeBufferPointer(start: bytes, count: count)
            )
            return true
          },
          file,
          &failure
        )
      }
    }
    guard isWritten else {
      let words = unsafe withUnsafeBytes(of: failure.text) { text in
        unsafe String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
      }
      throw TesseraError.mismatch("could not write a PNG: \(words)")
    }
    return file
  }
}
