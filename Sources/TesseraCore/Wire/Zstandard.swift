import CZstd

/// zstd, a whole buffer at a time.
package enum Zstandard {
  /// Compresses bytes into one frame.
  ///
  /// - Parameters:
  ///   - bytes: Any number of bytes.
  ///   - level: 1 to 19.
  /// - Returns: A frame that states the size of its content.
  package static func compress(_ bytes: [UInt8], level: Int) -> [UInt8] {
    let bound = ZSTD_compressBound(bytes.count)
    return unsafe [UInt8](unsafeUninitializedCapacity: bound) { output, initialized in
      let size = unsafe bytes.withUnsafeBytes { input in
        unsafe ZSTD_compress(
          output.baseAddress,
          output.count,
          input.baseAddress,
          input.count,
          Int32(level)
        )
      }
      precondition(ZSTD_isError(size) == 0, "the output has zstd's own bound")
      initialized = size
    }
  }

  /// Decompresses frames.
  ///
  /// - Parameters:
  ///   - bytes: The frames.
  ///   - size: The number of bytes that must come out.
  /// - Returns: The content; nil where the frames are damaged or of another size.
  package static func decompress(_ bytes: [UInt8], size: Int) -> [UInt8]? {
    var isWhole = false
    let content = unsafe [UInt8](unsafeUninitializedCapacity: size) { output, initialized in
      let made = unsafe bytes.withUnsafeBytes { input in
        unsafe ZSTD_decompress(output.baseAddress, size, input.baseAddress, input.count)
      }
      isWhole = ZSTD_isError(made) == 0 && made == size
      initialized = isWhole ? size : 0
    }
    return isWhole ? content : nil
  }
}
