/// What a dataset keeps of one image beside its codes: the member `<key>.json`.
///
/// `schemas/sample.schema.json` states the same.
public struct SampleDescription: Codable, Hashable, Sendable {
  /// The name of the sample, unique in the dataset and free of dots.
  public let key: String
  /// The path of the image relative to the folder, list or archive that named it.
  public let source: String
  /// The SHA-256 of the source's bytes, 64 hexadecimal digits.
  public let sha256: String
  /// The width and height of the source in pixels, as its file stores it.
  public let size: [Int]
  /// The Exif orientation that was applied, 1 to 8; 1 where none was.
  public let orientation: Int
  /// The width and height after orientation and resizing.
  public let resized: [Int]
  /// The part that was encoded, in pixels of the resized picture: left, top, right, bottom
  /// (exclusive), as Pillow writes a box.
  public let crop: [Int]
  /// The height and width of the grid of positions.
  public let grid: [Int]
  /// The smallest margin of any code to the second-best one, in the quantizer's unit; nil where there is none.
  ///
  /// Codes of another implementation may differ where this is below its numerical difference.
  public let margin: Float?
}
