/// One 512-byte header of a plain ustar archive (POSIX.1-1988), as Tessera writes and reads it.
///
/// Every field that a clock, a user or a machine would fill is fixed, so equal members give equal
/// archives.
package struct TarHeader {
  /// The size of a header, and the unit to which member data are padded.
  package static let blockSize = 512
  /// The longest name; `wids` reads this field alone and ignores ustar's prefix.
  package static let longestName = 100
  /// The greatest size that eleven octal digits hold: 8 GiB - 1.
  package static let largestSize = 0o777_7777_7777

  /// The path of the member inside the archive.
  package let name: String
  /// The number of bytes of the member's data, without padding.
  package let size: Int
  /// The type of the member: `0` a regular file, `5` a folder, others as POSIX lists them.
  package let kind: UInt8

  /// Creates the header of a regular file.
  ///
  /// `name` is ASCII without NUL, 1 to 100 bytes; `size` is at most ``largestSize``.
  package init(name: String, size: Int) {
    precondition(
      (1...Self.longestName).contains(name.utf8.count)
        && name.utf8.allSatisfy { (0x20..<0x7F).contains($0) },
      "a member's name is 1 to 100 printable ASCII bytes"
    )
    precondition((0...Self.largestSize).contains(size), "a member is smaller than 8 GiB")
    (self.name, self.size) = (name, size)
    kind = UInt8(ascii: "0")
  }

  /// The header's bytes.
  package var bytes: [UInt8] {
    var block = [UInt8](repeating: 0, count: Self.blockSize)
    func put(_ text: String, at offset: Int) {
      block.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
    }
    func put(octal value: Int, digits: Int, at offset: Int) {
      var rest = value
      for place in (offset..<offset + digits).reversed() {
        block[place] = UInt8(ascii: "0") + UInt8(rest & 7)
        rest >>= 3
      }
    }
    put(name, at: 0)
    put("0000644", at: 100)
    put("0000000", at: 108)
    put("0000000", at: 116)
    put(octal: size, digits: 11, at: 124)
    // 2000-01-01: GNU tar warns of "an implausibly old time stamp" where this is 0.
    put(octal: 946_684_800, digits: 11, at: 136)
    // The checksum is summed with its own field full of spaces.
    put("        ", at: 148)
    block[156] = kind
    put("ustar", at: 257)
    put("00", at: 263)
    put(octal: Self.checksum(block[...]), digits: 6, at: 148)
    block[154] = 0
    return block
  }

  /// Reads a header, or returns nil where the checksum or a number is wrong.
  ///
  /// - Parameter block: Exactly 512 bytes.
  package init?(parsing block: [UInt8]) {
    precondition(block.count == Self.blockSize)
    // The checksum is summed with its own field full of spaces.
    let sum = Self.checksum(block[...]) - Self.checksum(block[148..<156]) + 8 * 0x20
    guard let stated = Self.number(block[148..<156]), stated == sum,
      let size = Self.number(block[124..<136])
    else { return nil }
    var path = Self.text(block[0..<100])
    // The prefix belongs to ustar ("ustar\0"); old GNU archives ("ustar ") keep times there.
    if block[345] != 0, block[257..<263].elementsEqual("ustar\0".utf8) {
      path = Self.text(block[345..<500]) + "/" + path
    }
    name = path
    self.size = size
    kind = block[156] == 0 ? UInt8(ascii: "0") : block[156]
  }

  /// The number of bytes that data of this size take with their padding.
  package static func paddedSize(_ size: Int) -> Int {
    (size + blockSize - 1) / blockSize * blockSize
  }

  private static func checksum(_ block: ArraySlice<UInt8>) -> Int {
    block.reduce(0) { $0 + Int($1) }
  }

  private static func text(_ field: ArraySlice<UInt8>) -> String {
    String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
  }

  /// Octal digits between spaces and NULs; nil for anything else (GNU's base-256 sizes are ≥ 8 GiB).
  private static func number(_ field: ArraySlice<UInt8>) -> Int? {
    var value = 0
    var digits = 0
    for byte in field.drop(while: { $0 == UInt8(ascii: " ") }) {
      if byte == 0 || byte == UInt8(ascii: " ") { break }
      guard (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(byte) else { return nil }
      value = value * 8 + Int(byte - UInt8(ascii: "0"))
      digits += 1
    }
    return digits > 0 ? value : nil
  }
}
