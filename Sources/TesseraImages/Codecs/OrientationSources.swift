/// What a file says about how its picture stands, found where Pillow's `Image.getexif` finds it.
///
/// Pixels do not depend on metadata, so damaged metadata are no reason to refuse a picture: it stands
/// as it is stored, where Pillow's `exif_transpose` raises an error.
struct OrientationSources {
  /// Exif data; each of them may have `Exif\0\0` in front, once or twice.
  var exif: [UInt8]?
  /// A packet of XMP; it counts where the Exif data have no orientation.
  var xmp: ArraySlice<UInt8> = []

  static let exifMark = Array("Exif\0\0".utf8)

  /// The orientation; upright where nothing is said.
  var orientation: ExifOrientation {
    var data = (exif ?? [])[...]
    for _ in 0..<2 where data.starts(with: Self.exifMark) {
      data = data.dropFirst(Self.exifMark.count)
    }
    let tag = data.isEmpty ? .absent : ExifTag.orientation(in: data)
    switch tag {
    case .unreadable: return .upright
    case .value(let value): return Int(exactly: value).flatMap(ExifOrientation.init) ?? .upright
    case .absent: return Self.orientation(inXMP: xmp) ?? .upright
    }
  }

  /// Pillow's `tiff:Orientation(="|>)([0-9])`: an attribute or an element, the first of them.
  private static func orientation(inXMP packet: ArraySlice<UInt8>) -> ExifOrientation? {
    let name = Array("tiff:Orientation".utf8)
    var rest = packet
    while let start = rest.firstIndex(of: name[0]) {
      rest = rest[start...]
      if rest.starts(with: name) {
        let value = rest.dropFirst(name.count)
        let sign = [Array("=\"".utf8), Array(">".utf8)].first { value.starts(with: $0) }
        if let sign, let digit = value.dropFirst(sign.count).first, (48...57).contains(digit) {
          return ExifOrientation(rawValue: Int(digit) - 48)
        }
      }
      rest = rest.dropFirst()
    }
    return nil
  }
}

extension OrientationSources {
  /// What stands in a JPEG's segments in front of its pixels: all parts of the Exif data, the last
  /// packet of XMP.
  init(jpeg bytes: [UInt8]) {
    let packetMark = Array("http://ns.adobe.com/xap/1.0/\0".utf8)
    var at = 2
    while at + 4 <= bytes.count {
      guard bytes[at] == 0xFF else {
        at += 1  // stray bytes in front of a marker, which libjpeg skips too
        continue
      }
      let marker = bytes[at + 1]
      guard Self.hasLength(marker) else {
        at += marker == 0xFF ? 1 : 2
        continue
      }
      let length = Int(bytes[at + 2]) << 8 | Int(bytes[at + 3])
      let end = at + 2 + max(length, 2)
      guard marker != 0xDA, end <= bytes.count else { break }
      let segment = bytes[(at + 4)..<end]
      if marker == 0xE1, segment.starts(with: Self.exifMark) {
        if exif == nil { exif = Self.exifMark }
        exif?.append(contentsOf: segment.dropFirst(Self.exifMark.count))
      } else if marker == 0xE1, segment.starts(with: packetMark) {
        xmp = segment.dropFirst(packetMark.count)
      }
      at = end
    }
  }

  /// Whether Pillow reads a length behind a marker.
  private static func hasLength(_ marker: UInt8) -> Bool {
    switch marker {
    case 0xC8, 0xD0...0xD9, 0xF0...0xFD, 0xFF: false
    default: marker >= 0xC0
    }
  }
}

/// What a TIFF structure says of one tag.
private enum ExifTag {
  /// The structure has no head that Pillow knows, so nothing is looked for elsewhere.
  case unreadable
  case absent
  /// A number; not a number where the type holds texts or bytes, which are no orientation.
  case value(Double)

  /// The bytes of one value of each type that Pillow loads.
  private static let widths = [
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8,
  ]

  /// Tag 0x0112 of the first directory: byte order, 42, offset of the directory, its entries.
  ///
  /// Pillow's rules for damage: entries of unknown types and without values are passed over, as are
  /// values that together need more bytes than there are; a value outside of the data ends the directory.
  static func orientation(in bytes: ArraySlice<UInt8>) -> ExifTag {
    guard let tiff = TIFFBytes(bytes), let directory = tiff.integer(at: 4, bytes: 4) else {
      return .unreadable
    }
    var known: Set<Int> = []
    var elsewhere = 0
    for index in 0..<(tiff.integer(at: directory, bytes: 2) ?? 0) {
      let entry = directory + 2 + 12 * index
      guard let tag = tiff.integer(at: entry, bytes: 2),
        let type = tiff.integer(at: entry + 2, bytes: 2),
        let count = tiff.integer(at: entry + 4, bytes: 4),
        let offset = tiff.integer(at: entry + 8, bytes: 4)
      else { return .absent }
      guard !known.contains(tag), let width = widths[type], count > 0 else { continue }
      var place = entry + 8
      if count * width > 4 {
        elsewhere += count * width
        if elsewhere > bytes.count { continue }
        guard offset <= bytes.count - count * width else { return .absent }
        place = offset
      }
      if tag == 0x0112 { return .value(tiff.number(at: place, type: type)) }
      known.insert(tag)
    }
    return .absent
  }
}

/// Integers at checked places of a TIFF structure, in its own byte order.
private struct TIFFBytes {
  let bytes: ArraySlice<UInt8>
  let isLittleEndian: Bool

  /// Nil where the head is none that Pillow takes; it takes 42 in the wrong order, and BigTIFF's 43 in one.
  init?(_ bytes: ArraySlice<UInt8>) {
    let heads = ["II*\0", "II\0*", "MM\0*", "MM*\0", "MM\0+"].map { Array($0.utf8) }
    guard heads.contains(where: { bytes.starts(with: $0) }) else { return nil }
    isLittleEndian = bytes.first == UInt8(ascii: "I")
    self.bytes = bytes
  }

  func integer(at offset: Int, bytes count: Int) -> Int? {
    guard offset >= 0, offset <= bytes.count - count else { return nil }
    let part = bytes.dropFirst(offset).prefix(count)
    return (isLittleEndian ? Array(part.reversed()) : Array(part)).reduce(0) { $0 << 8 | Int($1) }
  }

  /// The first value of a type; what is no number gives none.
  func number(at offset: Int, type: Int) -> Double {
    func unsigned(_ place: Int, _ count: Int) -> Int { integer(at: place, bytes: count) ?? 0 }
    func signed(_ place: Int) -> Int { Int(Int32(truncatingIfNeeded: unsigned(place, 4))) }
    switch type {
    case 3: return Double(unsigned(offset, 2))
    case 4, 13: return Double(unsigned(offset, 4))
    case 5: return Double(unsigned(offset, 4)) / Double(unsigned(offset + 4, 4))
    case 6: return Double(Int8(truncatingIfNeeded: unsigned(offset, 1)))
    case 8: return Double(Int16(truncatingIfNeeded: unsigned(offset, 2)))
    case 9: return Double(signed(offset))
    case 10: return Double(signed(offset)) / Double(signed(offset + 4))
    case 11: return Double(Float(bitPattern: UInt32(truncatingIfNeeded: unsigned(offset, 4))))
    case 12: return Double(bitPattern: UInt64(bitPattern: Int64(eight(offset))))
    case 16: return Double(UInt64(bitPattern: Int64(eight(offset))))
    default: return .nan
    }
  }

  /// Eight bytes as they are; `integer` shifts their highest bit into the sign.
  private func eight(_ offset: Int) -> Int { integer(at: offset, bytes: 8) ?? 0 }
}
