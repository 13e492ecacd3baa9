/// Where the central directory of a zip file lies.
struct ZipDirectoryEnd {
  let offset: Int
  let size: Int
  let count: Int
  /// What stands behind the directory: any bytes.
  let comment: [UInt8]

  /// Finds the end record, the last thing in a zip file but for a comment of at most 65535 bytes.
  init(of region: FileRegion) throws {
    let tailStart = max(0, region.length - 22 - 0xFFFF)
    let tail = LittleEndianBytes(bytes: try region.bytes(tailStart..<region.length))
    var found: Int?
    for position in stride(from: tail.bytes.count - 22, through: 0, by: -1)
    where tail.integer(UInt32.self, at: position) == 0x0605_4B50 {
      guard let comment = tail.integer(UInt16.self, at: position + 20),
        position + 22 + comment == tail.bytes.count
      else { continue }
      found = position
      break
    }
    guard let position = found, let count = tail.integer(UInt16.self, at: position + 10),
      let size = tail.integer(UInt32.self, at: position + 12),
      let offset = tail.integer(UInt32.self, at: position + 16)
    else {
      throw TesseraError.malformed("no zip directory at its end: cut short?", file: region.name)
    }
    var values = (count: count, size: size, offset: offset)
    if count == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF {
      values = try ZipDirectoryEnd.large(before: tailStart + position, in: region)
    }
    guard values.offset <= region.length, values.size <= region.length - values.offset else {
      throw TesseraError.malformed("its directory ends after the file", file: region.name)
    }
    (self.count, self.size, self.offset) = values
    comment = Array(tail.bytes[(position + 22)...])
  }

  /// Reads the zip64 record that a locator right before the end record points to.
  private static func large(
    before end: Int,
    in region: FileRegion
  ) throws -> (count: Int, size: Int, offset: Int) {
    let damage = TesseraError.malformed("its zip64 directory is damaged", file: region.name)
    guard end >= 20 else { throw damage }
    let locator = LittleEndianBytes(bytes: try region.bytes(end - 20..<end))
    guard locator.integer(UInt32.self, at: 0) == 0x0706_4B50,
      let start = locator.integer(UInt64.self, at: 8), start <= region.length - 56
    else { throw damage }
    let record = LittleEndianBytes(bytes: try region.bytes(start..<start + 56))
    guard record.integer(UInt32.self, at: 0) == 0x0606_4B50,
      let count = record.integer(UInt64.self, at: 32),
      let size = record.integer(UInt64.self, at: 40),
      let offset = record.integer(UInt64.self, at: 48)
    else { throw damage }
    return (count, size, offset)
  }
}

extension ZipArchive.Member {
  /// Parses one entry of the directory, and where the next starts; nil where it is damaged.
  static func parse(
    _ directory: LittleEndianBytes,
    at start: Int
  ) -> (member: ZipArchive.Member, next: Int)? {
    guard directory.integer(UInt32.self, at: start) == 0x0201_4B50,
      let flags = directory.integer(UInt16.self, at: start + 8),
      let method = directory.integer(UInt16.self, at: start + 10),
      let crc = directory.integer(UInt32.self, at: start + 16),
      let compressed = directory.integer(UInt32.self, at: start + 20),
      let size = directory.integer(UInt32.self, at: start + 24),
      let nameLength = directory.integer(UInt16.self, at: start + 28),
      let extraLength = directory.integer(UInt16.self, at: start + 30),
      let commentLength = directory.integer(UInt16.self, at: start + 32),
      let offset = directory.integer(UInt32.self, at: start + 42)
    else { return nil }
    let nameStart = start + 46
    let extraStart = nameStart + nameLength
    let next = extraStart + extraLength + commentLength
    guard next <= directory.bytes.count,
      let name = String(validating: directory.bytes[nameStart..<extraStart], as: UTF8.self)
    else { return nil }
    var values = [size, compressed, offset]
    guard widen(&values, directory, extraStart..<extraStart + extraLength) else { return nil }
    let member = ZipArchive.Member(
      name: name,
      method: method,
      isEncrypted: flags & 1 == 1,
      crc32: UInt32(crc),
      compressedSize: values[1],
      size: values[0],
      headerOffset: values[2]
    )
    return (member, next)
  }

  /// Replaces values that are all ones by those of the zip64 extra field, in their fixed order.
  private static func widen(
    _ values: inout [Int],
    _ directory: LittleEndianBytes,
    _ extra: Range<Int>
  ) -> Bool {
    let wide = values.indices.filter { values[$0] == 0xFFFF_FFFF }
    if wide.isEmpty { return true }
    var position = extra.lowerBound
    while let kind = directory.integer(UInt16.self, at: position),
      let length = directory.integer(UInt16.self, at: position + 2),
      position + 4 + length <= extra.upperBound
    {
      if kind == 1, length >= wide.count * 8 {
        for (index, value) in wide.enumerated() {
          guard let wider = directory.integer(UInt64.self, at: position + 4 + index * 8) else {
            return false
          }
          values[value] = wider
        }
        return true
      }
      position += 4 + length
    }
    return false
  }

  /// Keras' own guard against bombs, at the floor of what is unpacked to a disk.
  package static func isPlausible(size: Int, from stored: Int) -> Bool {
    size <= 256 << 20 || size / 100 <= stored
  }

  /// Refuses names that leave a folder, unknown methods, and sizes that are impossible or a bomb.
  func check(in region: FileRegion) throws(TesseraError) {
    func refuse(_ cause: String) -> TesseraError {
      TesseraError.malformed(cause, file: region.name, place: name)
    }
    if let fault = SafePath.fault(ofMember: name) { throw refuse("its name \(fault)") }
    guard !isEncrypted else { throw refuse("is encrypted; unpack it with its password first") }
    guard method == 0 || method == 8 else {
      throw refuse("compressed by method \(method); only stored and deflated members are read")
    }
    guard headerOffset <= region.length, compressedSize <= region.length - headerOffset else {
      throw refuse("ends after the file")
    }
    guard method != 0 || size == compressedSize else {
      throw refuse("stored, but its two sizes differ")
    }
    guard Self.isPlausible(size: size, from: compressedSize) else {
      throw refuse("declares \(size) bytes, stores \(compressedSize): a zip bomb")
    }
  }
}
