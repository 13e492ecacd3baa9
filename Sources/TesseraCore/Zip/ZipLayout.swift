/// Where the members of a zip file go: all stored, their contents aligned, no times, zip64 where it
/// must be.
package struct ZipLayout: Sendable {
  /// A member before it has a place.
  ///
  /// Its name in UTF-8, and the bytes of its contents.
  package typealias Member = (name: String, size: Int)

  /// A member with its place.
  private struct Place: Sendable {
    let header: Int
    let padding: Int
    let contents: Range<Int>
  }

  /// Contents start at multiples of this, as PyTorch's do.
  package static let alignment = 64
  /// The value that says: see the zip64 field.
  private static let wide = 0xFFFF_FFFF
  /// 1 January 1980, the first day of the format.
  private static let date = 0x21

  private let members: [Member]
  private let places: [Place]
  /// Where the directory starts.
  private let directoryStart: Int
  private let comment: Int

  /// Lays out members; nil where the sizes overflow or a name is too long.
  ///
  /// - Parameters:
  ///   - members: In the order of their bytes.
  ///   - comment: The length of the archive's comment, at most 65535 bytes.
  package init?(_ members: [Member], comment: Int) {
    var places: [Place] = []
    var position = 0
    for member in members {
      let fixed = 30 + member.name.utf8.count + (member.size >= Self.wide ? 20 : 0)
      guard member.name.utf8.count < 1 << 15, member.size < 1 << 60 else { return nil }
      var padding = (Self.alignment - (position + fixed) % Self.alignment) % Self.alignment
      // An extra field has a head of four bytes.
      if (1..<4).contains(padding) { padding += Self.alignment }
      let start = position + fixed + padding
      let (end, overflow) = start.addingReportingOverflow(member.size)
      guard !overflow, end < 1 << 60 else { return nil }
      places.append(Place(header: position, padding: padding, contents: start..<end))
      position = end
    }
    guard comment < 1 << 16 else { return nil }
    (self.members, self.places, self.comment) = (members, places, comment)
    directoryStart = position
  }

  /// Where the contents of a member go.
  package func contents(of member: Int) -> Range<Int> { places[member].contents }

  /// The size of the whole file.
  package var fileSize: Int {
    var size = directoryStart
    for index in members.indices { size += directoryEntry(of: index, checksum: 0).count }
    return size + end(directorySize: size - directoryStart).count + comment
  }

  /// Writes the headers of all members, the directory and the comment.
  package func writeHeaders(
    to file: borrowing AtomicFile,
    checksums: [UInt32],
    comment text: [UInt8]
  ) throws {
    precondition(text.count == comment, "the file stays as long as it is")
    var directory: [UInt8] = []
    for index in members.indices {
      try file.write(header(of: index, checksum: checksums[index]), at: places[index].header)
      directory += directoryEntry(of: index, checksum: checksums[index])
    }
    let tail = end(directorySize: directory.count)
    try file.write(directory + tail + text, at: directoryStart)
  }

  /// The header before a member's contents, with the field that pads it as PyTorch does.
  private func header(of index: Int, checksum: UInt32) -> [UInt8] {
    let (member, place) = (members[index], places[index])
    let isWide = member.size >= Self.wide
    var extra = LittleEndianText()
    if isWide {
      extra.add(1, bytes: 2)
      extra.add(16, bytes: 2)
      extra.add(member.size, bytes: 8)
      extra.add(member.size, bytes: 8)
    }
    if place.padding > 0 {
      extra.bytes += Array("FB".utf8)
      extra.add(place.padding - 4, bytes: 2)
      extra.bytes += [UInt8](repeating: UInt8(ascii: "Z"), count: place.padding - 4)
    }
    var header = LittleEndianText()
    header.add(0x0403_4B50, bytes: 4)
    addDescription(of: member, checksum, isWide: isWide, extra: extra.bytes.count, to: &header)
    return header.bytes + Array(member.name.utf8) + extra.bytes
  }

  private func directoryEntry(of index: Int, checksum: UInt32) -> [UInt8] {
    let (member, place) = (members[index], places[index])
    let isLarge = member.size >= Self.wide
    let isFar = place.header >= Self.wide
    var extra = LittleEndianText()
    if isLarge || isFar {
      extra.add(1, bytes: 2)
      extra.add((isLarge ? 16 : 0) + (isFar ? 8 : 0), bytes: 2)
      if isLarge {
        extra.add(member.size, bytes: 8)
        extra.add(member.size, bytes: 8)
      }
      if isFar { extra.add(place.header, bytes: 8) }
    }
    var entry = LittleEndianText()
    entry.add(0x0201_4B50, bytes: 4)
    // Made on Unix.
    entry.add(3 << 8 | 45, bytes: 2)
    addDescription(
      of: member,
      checksum,
      isWide: isLarge || isFar,
      extra: extra.bytes.count,
      to: &entry
    )
    entry.add(0, bytes: 2)  // comment
    entry.add(0, bytes: 2)  // disk
    entry.add(0, bytes: 2)  // internal attributes
    entry.add(0o100644 << 16, bytes: 4)
    entry.add(min(place.header, Self.wide), bytes: 4)
    return entry.bytes + Array(member.name.utf8) + extra.bytes
  }

  /// What a member's header and its entry in the directory say alike.
  private func addDescription(
    of member: Member,
    _ checksum: UInt32,
    isWide: Bool,
    extra: Int,
    to text: inout LittleEndianText
  ) {
    text.add(isWide ? 45 : 20, bytes: 2)
    let isASCII = member.name.utf8.allSatisfy { $0 < 0x80 }
    text.add(isASCII ? 0 : 0x800, bytes: 2)
    text.add(0, bytes: 2)  // stored
    text.add(0, bytes: 2)  // midnight
    text.add(Self.date, bytes: 2)
    text.add(Int(checksum), bytes: 4)
    text.add(min(member.size, Self.wide), bytes: 4)
    text.add(min(member.size, Self.wide), bytes: 4)
    text.add(member.name.utf8.count, bytes: 2)
    text.add(extra, bytes: 2)
  }

  /// The records behind the directory.
  private func end(directorySize: Int) -> [UInt8] {
    var text = LittleEndianText()
    let count = members.count
    let isWide =
      count >= 0xFFFF || directorySize >= Self.wide || directoryStart >= Self.wide
    if isWide {
      text.add(0x0606_4B50, bytes: 4)
      text.add(44, bytes: 8)
      text.add(3 << 8 | 45, bytes: 2)
      text.add(45, bytes: 2)
      text.add(0, bytes: 8)  // disks
      for value in [count, count, directorySize, directoryStart] { text.add(value, bytes: 8) }
      text.add(0x0706_4B50, bytes: 4)
      text.add(0, bytes: 4)
      text.add(directoryStart + directorySize, bytes: 8)
      text.add(1, bytes: 4)
    }
    text.add(0x0605_4B50, bytes: 4)
    text.add(0, bytes: 4)  // disks
    for _ in 0..<2 { text.add(min(count, 0xFFFF), bytes: 2) }
    text.add(min(directorySize, Self.wide), bytes: 4)
    text.add(min(directoryStart, Self.wide), bytes: 4)
    text.add(comment, bytes: 2)
    return text.bytes
  }
}

/// Bytes of a file's header, put together number by number.
package struct LittleEndianText {
  package var bytes: [UInt8] = []

  package init(bytes: [UInt8] = []) {
    self.bytes = bytes
  }

  /// Adds the lowest bytes of a number.
  package mutating func add(_ number: Int, bytes count: Int) {
    for index in 0..<count { bytes.append(UInt8(truncatingIfNeeded: number >> (8 * index))) }
  }
}
