/// The members of an uncompressed tar archive with their data, in order.
package struct TarMemberStream {
  private var file: FileStream
  private var names = TarNames()

  /// The most bytes of one member that are read.
  private static let longestMember = 1 << 30

  /// Opens an archive.
  package init(path: String) throws { file = try FileStream(path: path) }

  /// The name for messages.
  package var name: String { file.name }

  /// The next member; nil at the end.
  package mutating func next() throws -> (name: String, data: [UInt8])? {
    while file.rest > 0 {
      let block = try file.next(TarHeader.blockSize)
      if block[0] == 0, block.allSatisfy({ $0 == 0 }) { return nil }
      guard let header = TarHeader(parsing: block) else { throw file.damage("no tar header") }
      var text: [UInt8]?
      let member = try names.member(
        header,
        read: { size in
          let bytes = try file.next(size)
          text = bytes
          return bytes
        },
        damage: file.damage
      )
      guard let member else {
        try file.skip(min(file.rest, TarHeader.paddedSize(header.size) - (text?.count ?? 0)))
        continue
      }
      guard member.isRegular else {
        throw file.damage("member '\(member.name)' is no regular file")
      }
      guard header.size <= Self.longestMember else {
        throw file.damage("member '\(member.name)' of \(header.size) bytes is too large")
      }
      let data = try file.next(header.size)
      try file.skip(min(file.rest, TarHeader.paddedSize(header.size) - header.size))
      return (member.name, data)
    }
    return nil
  }

  /// An error at the current place.
  package func damage(_ reason: String) -> TesseraError { file.damage(reason) }
}
