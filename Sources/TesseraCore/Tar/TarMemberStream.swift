/// The members of an uncompressed tar archive with their data, in order.
package struct TarMemberStream {
  private var file: FileStream

  /// The most bytes of one member that are read.
  private static let longestMember = 1 << 30

  /// Opens an archive.
  package init(path: String) throws { file = try FileStream(path: path) }

  /// The name for messages.
  package var name: String { file.name }

  /// The next member; nil at the end.
  package mutating func next() throws -> (name: String, data: [UInt8])? {
    guard file.rest > 0 else { return nil }
    let block = try file.next(TarHeader.blockSize)
    if block[0] == 0, block.allSatisfy({ $0 == 0 }) { return nil }
    guard let header = TarHeader(parsing: block) else { throw file.damage("no tar header") }
    guard header.kind == UInt8(ascii: "0") else {
      throw file.damage("member '\(header.name)' is no regular file")
    }
    guard header.size <= Self.longestMember else {
      throw file.damage("member '\(header.name)' of \(header.size) bytes is too large")
    }
    let data = try file.next(header.size)
    try file.skip(min(file.rest, TarHeader.paddedSize(header.size) - header.size))
    return (header.name, data)
  }

  /// An error at the current place.
  package func damage(_ reason: String) -> TesseraError { file.damage(reason) }
}
