/// The names of members, some of which stand in headers of their own in front of them: GNU's long names and
/// the paths of pax.
struct TarNames {
  /// The longest header text (a long name or a pax record) that is read.
  private static let longestText = 1 << 16

  /// The name that a GNU or pax header gave the next member.
  private var longName: String?

  /// Takes a header in.
  ///
  /// - Parameters:
  ///   - header: The next header of the archive.
  ///   - read: Reads that many bytes behind it, which are a name or a pax header.
  ///   - damage: Makes the error.
  /// - Returns: The path without a leading `./`, and whether the member is a regular file, not a link, folder or
  ///   device; nil where the header only describes the next member.
  /// - Throws: `TesseraError` where a name is too long or damaged.
  mutating func member(
    _ header: TarHeader,
    read: (Int) throws -> [UInt8],
    damage: (String) -> TesseraError
  ) throws -> (name: String, isRegular: Bool)? {
    func text() throws -> [UInt8] {
      guard header.size <= Self.longestText else {
        throw damage("a name or a pax header of \(header.size) bytes")
      }
      return try read(header.size)
    }
    switch header.kind {
    case UInt8(ascii: "L"):
      longName = String(decoding: try text().prefix { $0 != 0 }, as: UTF8.self)
      return nil
    case UInt8(ascii: "x"):
      longName = try Self.paxPath(text(), damage: damage) ?? longName
      return nil
    case UInt8(ascii: "g"), UInt8(ascii: "K"): return nil
    default:
      var name = longName ?? header.name
      longName = nil
      while name.hasPrefix("./") { name.removeFirst(2) }
      return (name, header.kind == UInt8(ascii: "0") || header.kind == UInt8(ascii: "7"))
    }
  }

  /// The `path` record of a pax header: records are `LENGTH KEYWORD=VALUE\n`.
  private static func paxPath(
    _ bytes: [UInt8],
    damage: (String) -> TesseraError
  ) throws -> String? {
    var rest = bytes[...]
    var path: String?
    let keyword = Array("path=".utf8)
    while !rest.isEmpty {
      let digits = rest.prefix { $0 != UInt8(ascii: " ") }
      guard let length = Int(String(decoding: digits, as: UTF8.self)),
        length > digits.count + 1, length <= rest.count
      else { throw damage("a pax header that is not one") }
      let record = rest.prefix(length).dropFirst(digits.count + 1).dropLast()
      if record.starts(with: keyword) {
        path = String(decoding: record.dropFirst(keyword.count), as: UTF8.self)
      }
      rest = rest.dropFirst(length)
    }
    return path
  }
}
