/// How a stored picture must be turned to stand upright: the values 1 to 8 of Exif tag 0x0112.
public enum ExifOrientation: Int, Hashable, Sendable, Codable, CaseIterable {
  case upright = 1
  case mirrored = 2
  case turnedHalf = 3
  case flipped = 4
  case transposed = 5
  case turnedRight = 6
  case transversed = 7
  case turnedLeft = 8

  /// Whether rows become columns.
  public var swapsSides: Bool { rawValue >= 5 }

  /// The orientation that a JPEG's Exif segment asks for; upright where there is none or it is damaged.
  ///
  /// Pixels do not depend on metadata, so damaged metadata are no reason to refuse a picture.
  init(jpeg bytes: [UInt8]) {
    var at = 2
    while at + 4 <= bytes.count {
      guard bytes[at] == 0xFF else {
        at += 1  // stray bytes in front of a marker, which libjpeg skips too
        continue
      }
      let marker = bytes[at + 1]
      if marker == 0xFF || marker == 0 || (0xD0...0xD8).contains(marker) {
        at += marker == 0xFF ? 1 : 2
        continue
      }
      if marker == 0xDA || marker == 0xD9 { break }
      let length = Int(bytes[at + 2]) << 8 | Int(bytes[at + 3])
      let end = at + 2 + length
      guard length >= 2, end <= bytes.count else { break }
      let segment = bytes[(at + 4)..<end]
      if marker == 0xE1, segment.starts(with: Array("Exif\0\0".utf8)) {
        self = Self(tiff: segment.dropFirst(6)) ?? .upright
        return
      }
      at = end
    }
    self = .upright
  }

  /// The orientation in a TIFF structure: byte order, 42, offset of the first directory, its entries.
  init?(tiff bytes: ArraySlice<UInt8>) {
    let tiff = TIFFBytes(bytes)
    guard let tiff, let directory = tiff.integer(at: 4, bytes: 4),
      let count = tiff.integer(at: directory, bytes: 2)
    else { return nil }
    for index in 0..<count {
      let entry = directory + 2 + 12 * index
      guard let tag = tiff.integer(at: entry, bytes: 2) else { return nil }
      guard tag == 0x0112 else { continue }
      // Written as a SHORT; some writers take BYTE or LONG.
      let widths = [1: 1, 3: 2, 4: 4]
      guard let type = tiff.integer(at: entry + 2, bytes: 2), let width = widths[type],
        let value = tiff.integer(at: entry + 8, bytes: width)
      else { return nil }
      self.init(rawValue: value)
      return
    }
    return nil
  }
}

/// Integers at checked places of a TIFF structure, in its own byte order.
private struct TIFFBytes {
  let bytes: ArraySlice<UInt8>
  let isLittleEndian: Bool

  init?(_ bytes: ArraySlice<UInt8>) {
    if bytes.starts(with: Array("II*\0".utf8)) {
      isLittleEndian = true
    } else if bytes.starts(with: Array("MM\0*".utf8)) {
      isLittleEndian = false
    } else {
      return nil
    }
    self.bytes = bytes
  }

  func integer(at offset: Int, bytes count: Int) -> Int? {
    guard offset >= 0, offset <= bytes.count - count else { return nil }
    let part = bytes.dropFirst(offset).prefix(count)
    return (isLittleEndian ? Array(part.reversed()) : Array(part)).reduce(0) { $0 << 8 | Int($1) }
  }
}

extension RGBXImage {
  /// The picture turned as the orientation asks.
  func turned(_ orientation: ExifOrientation) -> RGBXImage {
    if orientation == .upright { return self }
    // Source index of the result's (x, y): origin + x · column + y · row, in pixels.
    let (origin, column, row): (Int, Int, Int) =
      switch orientation {
      case .upright: (0, 1, width)
      case .mirrored: (width - 1, -1, width)
      case .turnedHalf: (width * height - 1, -1, -width)
      case .flipped: (width * (height - 1), 1, -width)
      case .transposed: (0, width, 1)
      case .turnedRight: (width * (height - 1), -width, 1)
      case .transversed: (width * height - 1, -width, -1)
      case .turnedLeft: (width - 1, width, -1)
      }
    let target = orientation.swapsSides ? ImageSize(width: height, height: width) : size
    return unsafe RGBXImage(width: target.width, height: target.height) { result in
      unsafe bytes.withUnsafeBytes { source in
        let result = UnsafeMutableRawPointer(result)
        for y in 0..<target.height {
          var from = origin + y * row
          for x in 0..<target.width {
            let pixel = unsafe source.loadUnaligned(fromByteOffset: from * 4, as: UInt32.self)
            unsafe result.storeBytes(
              of: pixel,
              toByteOffset: (y * target.width + x) * 4,
              as: UInt32.self
            )
            from += column
          }
        }
      }
    }
  }
}
