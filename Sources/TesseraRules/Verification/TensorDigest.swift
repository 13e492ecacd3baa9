import Crypto
import TesseraCheckpoints
import TesseraCore

extension CheckpointReader {
  /// The SHA-256 of a tensor's bytes as they are read, in hexadecimal digits.
  ///
  /// - Throws: What reading throws.
  func sha256(of tensor: TensorInfo) throws -> String {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { unsafe buffer.deallocate() }
    var hash = SHA256()
    let count = tensor.shape.elementCount ?? 0
    // A multiple of 8 elements, so that pieces of sub-byte types are whole bytes.
    let step = buffer.count / tensor.elementType.bitWidth * 8
    for start in stride(from: 0, to: count, by: step) {
      let end = min(start + step, count)
      let size = (end - start) * tensor.elementType.bitWidth / 8
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<size])
      try unsafe read(start..<end, of: tensor, into: part)
      unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(part))
    }
    return hash.finalize().hexadecimal
  }
}
