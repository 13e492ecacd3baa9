package import Crypto
import Foundation

/// Whole files: their SHA-256, streamed, or their bytes up to a cap.
package enum FileDigest {
  /// The SHA-256 of a regular file as 64 hexadecimal digits; reads 1 MiB at a time.
  ///
  /// - Throws: `TesseraError`.
  package static func sha256(of path: String) throws(TesseraError) -> String {
    let file = try FileRegion(path: path)
    var hash = SHA256()
    // One buffer for all pieces: fresh memory costs as much as the hash.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { unsafe buffer.deallocate() }
    for offset in stride(from: 0, to: file.length, by: buffer.count) {
      let count = min(buffer.count, file.length - offset)
      let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
      try unsafe file.read(at: offset, into: piece)
      unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(piece))
    }
    return hash.finalize().hexadecimal
  }

  /// The SHA-256 of one file; of several, that of their digests in order, a line each.
  ///
  /// - Throws: `TesseraError`.
  package static func sha256(ofAll paths: [String]) throws(TesseraError) -> String {
    var digests: [String] = []
    for path in paths { digests.append(try sha256(of: path)) }
    if digests.count == 1 { return digests[0] }
    return sha256(of: Array(digests.map { $0 + "\n" }.joined().utf8))
  }

  /// The size of a regular file.
  ///
  /// - Throws: `TesseraError`.
  package static func size(of path: String) throws(TesseraError) -> Int {
    try FileRegion(path: path).length
  }

  /// The SHA-256 of bytes in memory as 64 hexadecimal digits.
  package static func sha256(of bytes: [UInt8]) -> String {
    SHA256.hash(data: bytes).hexadecimal
  }

  /// The bytes of a regular file that holds at most `maximumBytes`.
  ///
  /// - Throws: `TesseraError`, with `EFBIG` for a larger file.
  package static func bytes(of path: String, maximumBytes: Int) throws(TesseraError) -> [UInt8] {
    let file = try FileRegion(path: path)
    guard file.length <= maximumBytes else {
      throw TesseraError.system("read \(file.length) bytes of", path, EFBIG)
    }
    return try file.bytes(0..<file.length)
  }
}

extension Digest {
  /// The digest as lower-case hexadecimal digits.
  package var hexadecimal: String {
    map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
