import Foundation

/// A file read from start to end through one buffer.
package struct FileStream {
  /// The name for messages.
  package var name: String { region.name }
  /// The position of the next byte.
  package private(set) var position = 0
  /// The size of the file.
  package var length: Int { region.length }
  /// How many bytes are left.
  package var rest: Int { region.length - position }

  private let region: FileRegion
  private var buffer: [UInt8] = []
  /// Where the buffer's first byte lies in the file.
  private var start = 0

  private static let chunk = 1 << 20

  /// Opens a regular file.
  package init(path: String) throws(TesseraError) { region = try FileRegion(path: path) }

  /// The next bytes, which are passed over; damage where the file ends before.
  package mutating func next(_ count: Int) throws -> [UInt8] {
    let offset = try load(count)
    position += count
    if offset == 0, buffer.count == count { return buffer }
    return Array(buffer[offset..<offset + count])
  }

  /// Reads a little-endian unsigned number.
  package mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type) throws -> T
  {
    let width = T.bitWidth / 8
    let offset = try load(width)
    position += width
    return unsafe buffer.withUnsafeBytes { bytes in
      unsafe bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
    }
  }

  /// Reads a little-endian unsigned number of 64 bits as a count of bytes or elements.
  package mutating func count() throws -> Int {
    guard let count = Int(exactly: try integer(UInt64.self)) else {
      throw damage("a count above 2^63 - 1")
    }
    return count
  }

  /// Passes over bytes.
  package mutating func skip(_ count: Int) throws {
    guard count >= 0, count <= rest else { throw damage("the file ends before its data do") }
    position += count
  }

  /// Continues elsewhere.
  package mutating func seek(to offset: Int) throws {
    guard (0...length).contains(offset) else { throw damage("an offset beyond the end") }
    position = offset
  }

  /// The bytes up to the next line feed, which is passed over; nil at the end of the file.
  package mutating func line(longest: Int) throws -> [UInt8]? {
    guard rest > 0 else { return nil }
    var line: [UInt8] = []
    while rest > 0 {
      let offset = try load(min(rest, max(1, buffer.count - (position - start))))
      let piece = buffer[offset...]
      let end = piece.firstIndex(of: UInt8(ascii: "\n")) ?? piece.endIndex
      guard line.count + end - offset <= longest else {
        throw damage("a line longer than \(longest) bytes")
      }
      line += piece[..<end]
      position += end - offset
      if end < piece.endIndex {
        position += 1
        break
      }
    }
    return line
  }

  /// An error at the current position.
  package func damage(_ reason: String) -> TesseraError {
    TesseraError.malformed(reason, file: "\(name): byte \(position)")
  }

  /// Makes the next bytes lie in the buffer; returns where.
  private mutating func load(_ count: Int) throws -> Int {
    guard count >= 0, count <= rest else { throw damage("the file ends before its data do") }
    let offset = position - start
    if offset >= 0, offset + count <= buffer.count { return offset }
    let end = min(length, position + max(count, Self.chunk))
    buffer = try region.bytes(position..<end)
    start = position
    return 0
  }
}
