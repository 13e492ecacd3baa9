/// The members of a zip file, from its central directory: stored or deflated, also zip64.
///
/// Names that would leave a folder, duplicates, encrypted members and sizes that do not fit the file
/// are refused before any member is read.
package struct ZipArchive: Sendable {
  /// One member as the central directory describes it.
  package struct Member: Sendable, Hashable {
    package let name: String
    /// 0 stored, 8 deflated.
    package let method: Int
    package let isEncrypted: Bool
    package let crc32: UInt32
    package let compressedSize: Int
    package let size: Int
    /// Where the member's own header starts in the archive.
    package let headerOffset: Int
  }

  package let region: FileRegion
  package let members: [Member]
  /// The archive's comment.
  package let comment: [UInt8]
  private let places: [String: Int]

  /// The most members and the largest central directory that are read.
  private static let limits = (members: 1 << 20, directory: 128 << 20)

  /// Whether a file starts as a zip file does.
  package static func isArchive(_ region: FileRegion) throws(TesseraError) -> Bool {
    guard region.length >= 22 else { return false }
    let start = try region.bytes(0..<4)
    return start == [0x50, 0x4B, 3, 4] || start == [0x50, 0x4B, 5, 6]
  }

  package init(region: FileRegion) throws {
    self.region = region
    let end = try ZipDirectoryEnd(of: region)
    guard end.count <= ZipArchive.limits.members, end.size <= ZipArchive.limits.directory else {
      throw TesseraError.malformed("its directory lists too many members", file: region.name)
    }
    let directory = LittleEndianBytes(bytes: try region.bytes(end.offset..<end.offset + end.size))
    var members: [Member] = []
    var places: [String: Int] = [:]
    var position = 0
    for _ in 0..<end.count {
      guard let (member, next) = Member.parse(directory, at: position) else {
        throw TesseraError.malformed(
          "its directory is damaged at byte \(position)",
          file: region.name
        )
      }
      try member.check(in: region)
      guard places.updateValue(members.count, forKey: member.name) == nil else {
        throw TesseraError.malformed("the name occurs twice", file: region.name, place: member.name)
      }
      members.append(member)
      position = next
    }
    comment = end.comment
    (self.members, self.places) = (members, places)
    try checkOverlaps()
    try checkTotal()
  }

  /// Refuses an archive whose members together unpack to what `check(in:)` refuses of one.
  private func checkTotal() throws(TesseraError) {
    var (sizes, stored) = (0, 0)
    for member in members where member.method != 0 {
      let (sum, overflow) = sizes.addingReportingOverflow(member.size)
      sizes = overflow ? .max : sum
      stored += member.compressedSize
    }
    guard Member.isPlausible(size: sizes, from: stored) else {
      let cause = "its members declare \(sizes) bytes, stored are \(stored): a zip bomb"
      throw TesseraError.malformed(cause, file: region.name)
    }
  }

  /// Refuses members that share bytes: so a small file would unpack to a huge one.
  private func checkOverlaps() throws(TesseraError) {
    let sorted = members.sorted { $0.headerOffset < $1.headerOffset }
    for (member, next) in zip(sorted, sorted.dropFirst())
    where next.headerOffset - member.headerOffset < 30 + member.compressedSize {
      let cause = "its bytes overlap those of '\(member.name)'"
      throw TesseraError.malformed(cause, file: region.name, place: next.name)
    }
  }

  /// The member of a name, if there is one.
  package subscript(name: String) -> Member? { places[name].map { members[$0] } }

  /// The stored bytes of a member, compressed or not, checked against its own header.
  package func storedBytes(of member: Member) throws -> FileRegion {
    func damaged(_ cause: String) -> TesseraError {
      TesseraError.malformed(cause, file: region.name, place: member.name)
    }
    guard member.headerOffset <= region.length - 30 else { throw damaged("lies after the end") }
    let bytes = try region.bytes(member.headerOffset..<member.headerOffset + 30)
    let header = LittleEndianBytes(bytes: bytes)
    guard header.integer(UInt32.self, at: 0) == 0x0403_4B50,
      let method = header.integer(UInt16.self, at: 8),
      let nameLength = header.integer(UInt16.self, at: 26),
      let extraLength = header.integer(UInt16.self, at: 28)
    else { throw damaged("has no header where the directory says") }
    let nameStart = member.headerOffset + 30
    let start = nameStart + nameLength + extraLength
    guard start <= region.length, member.compressedSize <= region.length - start else {
      throw damaged("ends after the file")
    }
    let name = try region.bytes(nameStart..<nameStart + nameLength)
    guard method == member.method, name == Array(member.name.utf8) else {
      throw damaged("its header and the directory disagree")
    }
    return region.part(
      start..<start + member.compressedSize,
      name: "\(region.name): \(member.name)"
    )
  }

  /// A whole member in memory, its checksum verified.
  package func bytes(of member: Member, limit: Int) throws -> [UInt8] {
    guard member.size <= limit else {
      let cause = "declares \(member.size) bytes, more than \(limit)"
      throw TesseraError.malformed(cause, file: region.name, place: member.name)
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(member.size)
    try unpack(member) { bytes += $0 }
    return bytes
  }

  /// A member as a region: stored ones in place, deflated ones unpacked into a file without a name.
  package func contents(of member: Member) throws -> FileRegion {
    if member.method == 0 { return try storedBytes(of: member) }
    let name = "\(region.name): \(member.name)"
    return try FileRegion(temporaryFor: name) { append in
      try unpack(member, into: append)
    }
  }

  /// The first bytes of a member, at most `count`; what follows is neither unpacked nor checked.
  package func prefix(of member: Member, count: Int) throws -> [UInt8] {
    let stored = try storedBytes(of: member)
    guard member.method != 0 else { return try stored.bytes(0..<min(count, stored.length)) }
    var bytes: [UInt8] = []
    var inflation = try Inflation(name: stored.name)
    var position = 0
    while bytes.count < min(count, member.size), position < stored.length {
      let next = min(position + 4096, stored.length)
      try inflation.add(try stored.bytes(position..<next)[...]) { bytes += $0 }
      position = next
    }
    return Array(bytes.prefix(count))
  }

  /// Passes on a member's contents in pieces, then compares size and checksum.
  private func unpack(_ member: Member, into consume: (ArraySlice<UInt8>) throws -> Void) throws {
    let stored = try storedBytes(of: member)
    var check = ZipChecksum()
    var total = 0
    func pass(_ piece: ArraySlice<UInt8>) throws {
      total += piece.count
      guard total <= member.size else {
        let cause = "unpacks to more than the declared \(member.size) bytes"
        throw TesseraError.malformed(cause, file: region.name, place: member.name)
      }
      check.add(piece)
      try consume(piece)
    }
    if member.method == 0 {
      try stored.forEachPiece(pass)
    } else {
      var inflation = try Inflation(name: stored.name)
      try stored.forEachPiece { try inflation.add($0, pass) }
      try inflation.finish()
    }
    guard total == member.size, check.value == member.crc32 else {
      let cause = "its size or checksum is not the declared one"
      throw TesseraError.malformed(cause, file: region.name, place: member.name)
    }
  }
}

extension FileRegion {
  /// Reads the region from front to back in pieces of at most 1 MiB.
  package func forEachPiece(_ body: (ArraySlice<UInt8>) throws -> Void) throws {
    var position = 0
    while position < length {
      let next = min(position + (1 << 20), length)
      try body(bytes(position..<next)[...])
      position = next
    }
  }
}
