/// The discrete codes of one picture, in raster order.
public struct CodeGrid: Hashable, Sendable {
  /// The number of rows of codes.
  public let height: Int
  /// The number of columns of codes.
  public let width: Int
  /// The codes, row by row from the top left; each less than the tokenizer's vocabulary size.
  public let codes: [UInt32]

  /// Creates a grid; `codes` must hold height × width of them.
  public init(height: Int, width: Int, codes: [UInt32]) {
    precondition(codes.count == height * width, "a grid holds height x width codes")
    self.height = height
    self.width = width
    self.codes = codes
  }
}

/// What the network makes of one picture, before quantization.
public struct LatentGrid: Hashable, Sendable {
  /// The number of rows of positions.
  public let height: Int
  /// The number of columns of positions.
  public let width: Int
  /// The latents, channels last: [height, width, dimensions].
  public let values: [Float]

  /// Creates a grid; every position has the same number of values.
  public init(height: Int, width: Int, values: [Float]) {
    precondition(height > 0 && width > 0 && values.count % (height * width) == 0)
    self.height = height
    self.width = width
    self.values = values
  }

  /// The latent dimensions of one position.
  public var dimensions: Int { values.count / (height * width) }
}

/// What a tokenizer makes of one picture.
public struct EncodedImage: Sendable {
  /// The codes.
  public let grid: CodeGrid
  /// The latents before quantization.
  public let latents: LatentGrid
  /// The smallest distance of any latent to a place where its code would change, in quantizer levels.
  ///
  /// Codes of two implementations may differ only where this is below their numerical difference.
  public let margin: Float
}
