/// Width and height in pixels.
public struct ImageSize: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The number of columns.
  public let width: Int
  /// The number of rows.
  public let height: Int

  /// Creates a size.
  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }

  /// The number of pixels, or `Int.max` where the product overflows.
  public var pixels: Int {
    let (product, overflow) = width.multipliedReportingOverflow(by: height)
    return overflow ? Int.max : product
  }

  /// The shorter side.
  public var short: Int { min(width, height) }

  /// As `640 x 480`, width first.
  public var description: String { "\(width) x \(height)" }
}

/// A rectangle of whole pixels, counted from the top left.
public struct PixelBox: Hashable, Sendable, Codable {
  /// The first column.
  public let left: Int
  /// The first row.
  public let top: Int
  /// The number of columns.
  public let width: Int
  /// The number of rows.
  public let height: Int

  /// Creates a rectangle.
  public init(left: Int, top: Int, width: Int, height: Int) {
    self.left = left
    self.top = top
    self.width = width
    self.height = height
  }

  /// Creates the rectangle that covers a whole picture.
  public init(size: ImageSize) {
    self.init(left: 0, top: 0, width: size.width, height: size.height)
  }

  /// Width and height.
  public var size: ImageSize { ImageSize(width: width, height: height) }
  /// The columns.
  var columns: Range<Int> { left..<(left + width) }
  /// The rows.
  var rows: Range<Int> { top..<(top + height) }
}
