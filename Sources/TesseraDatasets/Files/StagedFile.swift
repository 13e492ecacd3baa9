import Crypto
import Foundation
import TesseraCore

/// Digests that layouts ask for beside the manifest's SHA-256.
enum FileDigestKind: Hashable {
  case md5, sha1
}

/// A file that is complete: what its indices say of it.
struct FinishedFile {
  let name: String
  let bytes: Int
  let sha256: String
  let md5: String?
  let sha1: String?
}

/// A file in a stage, written from start to end through one buffer, hashed on the way by other threads.
final class StagedFile {
  /// The path in the dataset's folder.
  let name: String
  /// The path on disk.
  let path: String
  /// The number of bytes written so far.
  private(set) var position = 0

  /// Negative once the file is finished.
  private var descriptor: Int32
  private var buffer: [UInt8] = []
  private let sha256: BackgroundDigest<SHA256>?
  private let md5: BackgroundDigest<Insecure.MD5>?
  private let sha1: BackgroundDigest<Insecure.SHA1>?

  private static let chunk = 1 << 18

  /// Creates the file.
  ///
  /// - Parameters:
  ///   - name: Its name in the folder.
  ///   - folder: The folder.
  ///   - digests: The digests beside SHA-256; nil for a spool, which needs none at all.
  /// - Throws: `TesseraError` where it cannot be created.
  init(name: String, folder: String, digests: Set<FileDigestKind>?) throws(TesseraError) {
    self.name = name
    path = "\(folder)/\(name)"
    sha256 = digests == nil ? nil : BackgroundDigest()
    md5 = digests?.contains(.md5) == true ? BackgroundDigest() : nil
    sha1 = digests?.contains(.sha1) == true ? BackgroundDigest() : nil
    descriptor = unsafe open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw TesseraError.system("create the file", path, errno)
    }
    buffer.reserveCapacity(Self.chunk)
  }

  deinit { if descriptor >= 0 { _ = close(descriptor) } }

  /// Appends bytes.
  func write(_ bytes: [UInt8]) throws(TesseraError) {
    position += bytes.count
    if buffer.count + bytes.count <= Self.chunk {
      buffer += bytes
      return
    }
    try flush()
    if bytes.count >= Self.chunk { try put(bytes) } else { buffer += bytes }
  }

  /// Appends a little-endian number.
  func write<Number: FixedWidthInteger>(_ number: Number) throws(TesseraError) {
    buffer.appendLittleEndian(number)
    position += Number.bitWidth / 8
    if buffer.count > Self.chunk { try flush() }
  }

  /// Appends zeros up to a multiple of a number of bytes.
  func pad(to multiple: Int) throws(TesseraError) {
    let count = (multiple - position % multiple) % multiple
    if count > 0 { try write([UInt8](repeating: 0, count: count)) }
  }

  /// Appends all that another file holds.
  func append(contentsOf other: StagedFile) throws(TesseraError) {
    try other.flush()
    for start in stride(from: 0, to: other.position, by: Self.chunk) {
      try write(try other.read(start, min(Self.chunk, other.position - start)))
    }
  }

  /// Hands over the numbers that the file consists of.
  func forEach<Number: FixedWidthInteger>(
    _: Number.Type,
    _ body: (Number) throws -> Void
  ) throws {
    try flush()
    for start in stride(from: 0, to: position, by: 1 << 20) {
      let bytes = try read(start, min(1 << 20, position - start))
      for offset in stride(from: 0, to: bytes.count, by: Number.bitWidth / 8) {
        try body(
          unsafe bytes.withUnsafeBytes { bytes in
            unsafe bytes.loadUnaligned(fromByteOffset: offset, as: Number.self)
          }
        )
      }
    }
  }

  /// Ends the file and makes it durable.
  func finish() throws(TesseraError) -> FinishedFile {
    try flush()
    guard fsync(descriptor) == 0 else { throw failure() }
    let open = descriptor
    descriptor = -1
    guard close(open) == 0 else { throw failure() }
    return FinishedFile(
      name: name,
      bytes: position,
      sha256: sha256?.hexadecimal() ?? "",
      md5: md5?.hexadecimal(),
      sha1: sha1?.hexadecimal()
    )
  }

  /// Removes the file: it only helped to make another.
  func discard() throws(TesseraError) { try OutputFolder.remove(path) }

  private func failure() -> TesseraError { TesseraError.system("write", path, errno) }

  private func flush() throws(TesseraError) {
    guard !buffer.isEmpty else { return }
    try put(buffer)
    buffer.removeAll(keepingCapacity: true)
  }

  private func put(_ bytes: [UInt8]) throws(TesseraError) {
    sha256?.update(bytes)
    md5?.update(bytes)
    sha1?.update(bytes)
    // Large pieces are the caller's, who fills them again: held on to, they would be copied.
    defer {
      if bytes.count > Self.chunk { [sha256?.wait, md5?.wait, sha1?.wait].forEach { $0?() } }
    }
    let code = unsafe bytes.withUnsafeBytes { bytes -> Int32 in
      var done = 0
      while done < bytes.count {
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[done...])
        let count = unsafe Foundation.write(descriptor, rest.baseAddress, rest.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { return errno }
        done += count
      }
      return 0
    }
    guard code == 0 else { throw TesseraError.system("write", path, code) }
  }

  private func read(_ start: Int, _ count: Int) throws(TesseraError) -> [UInt8] {
    var got = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      got = unsafe pread(descriptor, buffer.baseAddress, count, off_t(start))
      initialized = max(0, got)
    }
    guard got == count else {
      throw TesseraError.system("read", path, got < 0 ? errno : EIO)
    }
    return bytes
  }
}

extension [UInt8] {
  /// Appends a number, its lowest byte first.
  mutating func appendLittleEndian<Number: FixedWidthInteger>(_ number: Number) {
    unsafe Swift.withUnsafeBytes(of: number.littleEndian) { unsafe append(contentsOf: $0) }
  }

  /// Replaces bytes by a number, its lowest byte first.
  mutating func putLittleEndian<Number: FixedWidthInteger>(_ number: Number, at offset: Int) {
    unsafe Swift.withUnsafeBytes(of: number.littleEndian) { bytes in
      unsafe replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }
  }
}
