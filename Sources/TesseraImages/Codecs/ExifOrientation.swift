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
