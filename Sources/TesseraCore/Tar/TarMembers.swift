/// The members of an uncompressed tar archive: names and places, no data; every size is checked against the file.
package struct TarMembers {
  /// One member.
  package struct Member {
    /// The path inside the archive, without a leading `./`.
    package let name: String
    /// Where its data start, in bytes from the start of the archive.
    package let offset: Int
    /// The number of bytes of its data.
    package let size: Int
    /// Whether it is a regular file, not a link, folder or device.
    package let isRegular: Bool
    /// Whether it is a link, to a member or to anything else.
    package let isLink: Bool
  }

  /// The members in the archive's order.
  package private(set) var members: [Member] = []

  private let file: FileRegion
  private var offset = 0
  private var names = TarNames()

  /// Lists the archive at `path`.
  package init(path: String) throws {
    file = try FileRegion(path: path)
    while try readMember() {}
  }

  /// Lists the archive in a region, or returns nil where its first block is no header.
  package init?(archive region: FileRegion) throws {
    guard region.length >= 2 * TarHeader.blockSize,
      TarHeader(parsing: try region.bytes(0..<TarHeader.blockSize)) != nil
    else { return nil }
    file = region
    while try readMember() {}
  }

  /// Reads the header at `offset` and moves behind its data; false at the end.
  private mutating func readMember() throws -> Bool {
    // An archive that breaks off exactly between two members lacks only its end mark.
    if offset == file.length, offset > 0 { return false }
    guard file.length - offset >= TarHeader.blockSize else {
      throw damaged("the archive ends inside a header")
    }
    let block = try file.bytes(offset..<offset + TarHeader.blockSize)
    if block.allSatisfy({ $0 == 0 }) { return false }
    guard let header = TarHeader(parsing: block) else {
      throw damaged("no tar header (a compressed or damaged archive)")
    }
    let start = offset + TarHeader.blockSize
    guard header.size <= file.length - start else { throw damaged("a member reaches past the end") }
    let member = try names.member(
      header,
      read: { try file.bytes(start..<start + $0) },
      damage: damaged
    )
    if let member {
      members.append(
        Member(
          name: member.name,
          offset: start,
          size: header.size,
          isRegular: member.isRegular,
          isLink: [UInt8(ascii: "1"), UInt8(ascii: "2")].contains(header.kind)
        )
      )
    }
    offset = min(file.length, start + TarHeader.paddedSize(header.size))
    return true
  }

  private func damaged(_ what: String) -> TesseraError {
    TesseraError.malformed("byte \(offset): \(what)", file: file.name)
  }
}
