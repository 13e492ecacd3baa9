extension ImageTokenizer {
  /// The codes of a picture in a file, which goes through the tokenizer's own preprocessing.
  ///
  /// - Parameters:
  ///   - path: A JPEG or PNG.
  ///   - limits: What the file may demand.
  /// - Returns: The codes, in raster order.
  /// - Throws: `TesseraError`, and the errors of ``encode(_:)``.
  public func encode(pictureAt path: String, limits: ImageLimits = .standard) throws -> CodeGrid {
    let bytes = try FileDigest.bytes(of: path, maximumBytes: limits.bytes)
    return try encode(description.preprocessing.image(from: bytes, limits: limits).image).grid
  }
}

extension RGBImage {
  /// Writes the picture as a PNG, which appears once it is complete.
  ///
  /// - Throws: `TesseraError`.
  public func writePNG(to path: String) throws {
    var file = try AtomicFile(path: path)
    try file.write(PNGFile.encode(self))
    try file.commit()
  }
}
