/// The members of an uncompressed tar archive: names and places, no data.
///
/// Reads ustar, GNU's long names and pax paths; every size is checked against the file.
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
  }

  /// The longest header text (a long name or a pax record) that is read.
  package static let longestText = 1 << 16

  /// The members in the archive's order.
  package private(set) var members: [Member] = []

  private let file: FileRegion
  private var offset = 0
  /// The name that a GNU or pax header gave the next member.
  private var longName: String?

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
    switch header.kind {
    case UInt8(ascii: "L"): longName = try text(start, header.size, upTo: 0)
    case UInt8(ascii: "x"): longName = try paxPath(start, header.size) ?? longName
    case UInt8(ascii: "g"), UInt8(ascii: "K"): break
    default:
      var name = longName ?? header.name
      longName = nil
      while name.hasPrefix("./") { name.removeFirst(2) }
      let isRegular = header.kind == UInt8(ascii: "0") || header.kind == UInt8(ascii: "7")
      members.append(Member(name: name, offset: start, size: header.size, isRegular: isRegular))
    }
    offset = min(file.length, start + TarHeader.paddedSize(header.size))
    return true
  }

  private func text(_ start: Int, _ size: Int, upTo end: UInt8) throws -> String {
    guard size <= Self.longestText else { throw damaged("a name of \(size) bytes") }
    let bytes = try file.bytes(start..<start + size)
    return String(decoding: bytes.prefix { $0 != end }, as: UTF8.self)
  }

  /// The `path` record of a pax header: records are `LENGTH KEYWORD=VALUE\n`.
  private func paxPath(_ start: Int, _ size: Int) throws -> String? {
    guard size <= Self.longestText else { throw damaged("a pax header of \(size) bytes") }
    var rest = try file.bytes(start..<start + size)[...]
    var path: String?
    while !rest.isEmpty {
      let digits = rest.prefix { $0 != UInt8(ascii: " ") }
      guard let length = Int(String(decoding: digits, as: UTF8.self)),
        length > digits.count + 1, length <= rest.count
      else { throw damaged("a pax header that is not one") }
      let record = rest.prefix(length).dropFirst(digits.count + 1).dropLast()
      let keyword = Array("path=".utf8)
      if record.starts(with: keyword) {
        path = String(decoding: record.dropFirst(keyword.count), as: UTF8.self)
      }
      rest = rest.dropFirst(length)
    }
    return path
  }

  private func damaged(_ what: String) -> TesseraError {
    TesseraError.malformed("byte \(offset): \(what)", file: file.name)
  }
}
