import CSnappy

/// Snappy, a whole buffer at a time.
package enum Snappy {
  /// Decompresses a buffer in the raw format, which has no checksum.
  ///
  /// - Parameters:
  ///   - bytes: The buffer.
  ///   - size: The number of bytes that must come out.
  /// - Returns: The content; nil where the buffer is damaged or of another size.
  package static func decompress(_ bytes: [UInt8], size: Int) -> [UInt8]? {
    var isWhole = false
    let content = unsafe [UInt8](unsafeUninitializedCapacity: size) { output, initialized in
      unsafe bytes.withUnsafeBytes { input in
        let source = unsafe input.baseAddress?.assumingMemoryBound(to: CChar.self)
        let target = unsafe UnsafeMutableRawPointer(output.baseAddress)?
          .assumingMemoryBound(to: CChar.self)
        var made = 0
        guard unsafe snappy_uncompressed_length(source, input.count, &made) == SNAPPY_OK,
          made == size
        else { return }
        isWhole =
          unsafe snappy_uncompress(source, input.count, target, &made) == SNAPPY_OK
          && made == size
      }
      initialized = isWhole ? size : 0
    }
    return isWhole ? content : nil
  }
}
