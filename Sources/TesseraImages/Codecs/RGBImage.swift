/// An 8-bit RGB picture: `pixels` holds height × width × 3 bytes, row by row from the top left.
public struct RGBImage: Hashable, Sendable {
  /// The number of columns.
  public let width: Int
  /// The number of rows.
  public let height: Int
  /// Red, green and blue of each pixel, row-major: [height, width, 3].
  public let pixels: [UInt8]

  /// Creates a picture; `pixels` must hold width × height × 3 bytes.
  public init(width: Int, height: Int, pixels: [UInt8]) {
    precondition(pixels.count == width * height * 3, "an RGB picture has three bytes per pixel")
    self.width = width
    self.height = height
    self.pixels = pixels
  }
}
