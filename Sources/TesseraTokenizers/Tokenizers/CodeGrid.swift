/// The discrete codes of one picture, in raster order.
public struct CodeGrid: Hashable, Sendable {
  /// The number of rows of positions.
  public let height: Int
  /// The number of columns of positions.
  public let width: Int
  /// The shape of the codes: [height, width], [height, width, n] where a position has n codes, or [tokens]
  /// where codes belong to the whole picture.
  public let shape: [Int]
  /// The codes, row by row from the top left, those of a position together.
  ///
  /// Each is less than the tokenizer's vocabulary size. Where they belong to the whole picture they go from
  /// scale to scale.
  public let codes: [UInt32]

  /// Creates a grid of one code per position; `codes` must hold height × width of them.
  public init(height: Int, width: Int, codes: [UInt32]) {
    self.init(height: height, width: width, shape: [height, width], codes: codes)
  }

  /// Creates a grid; `codes` must hold as many as `shape` says.
  public init(height: Int, width: Int, shape: [Int], codes: [UInt32]) {
    precondition(codes.count == shape.reduce(1, *), "a grid holds as many codes as its shape says")
    (self.height, self.width, self.shape, self.codes) = (height, width, shape, codes)
  }

  /// Whether every position has codes of its own: [height, width] or [height, width, n].
  public var isSpatial: Bool { shape.count > 1 }
}

/// What the network makes of one picture, before quantization.
package struct LatentGrid: Hashable, Sendable {
  /// The number of rows of positions.
  package let height: Int
  /// The number of columns of positions.
  package let width: Int
  /// The latents, channels last: [height, width, dimensions].
  package let values: [Float]

  /// Creates a grid; every position has the same number of values.
  package init(height: Int, width: Int, values: [Float]) {
    precondition(height > 0 && width > 0 && values.count % (height * width) == 0)
    (self.height, self.width, self.values) = (height, width, values)
  }

  /// The latent dimensions of one position.
  package var dimensions: Int { values.count / (height * width) }
}

/// What a tokenizer makes of one picture.
public struct EncodedImage: Sendable {
  /// The codes.
  public let grid: CodeGrid
  /// The latents before quantization.
  package let latents: LatentGrid
  /// How safe each code is, in the quantizer's unit (`QuantizedLatents.margins`).
  ///
  /// Codes of two implementations may differ only where this is below their numerical difference.
  public let margins: [Float]

  /// Creates what a tokenizer makes: as many margins as codes.
  package init(grid: CodeGrid, latents: LatentGrid, margins: [Float]) {
    (self.grid, self.latents, self.margins) = (grid, latents, margins)
  }

  /// The smallest of the margins.
  public var margin: Float { margins.min() ?? .infinity }
}
