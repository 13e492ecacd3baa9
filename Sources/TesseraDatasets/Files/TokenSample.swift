package import TesseraCore
package import TesseraImages
package import TesseraTokenizers

/// One image as a dataset keeps it.
package struct TokenSample: Sendable {
  /// Where the image came from and what was done to it.
  package let description: SampleDescription
  /// The codes, unsigned [height, width], [height, width, n] or [tokens], the vocabulary offset added.
  package let codes: Tensor
  /// The position ids [axes, tokens], or nil without a scheme.
  package let positions: Tensor?
  /// The latents before quantization, float32 [height, width, channels], or nil where not asked for.
  package let latents: Tensor?
  /// What is said of the image; empty where nothing is, nil where captions are not asked for.
  package let caption: String?
  /// Probabilities of codes, or nil where not asked for.
  package var soft: SoftCodes?

  /// The members that hold ``soft``, compressed rows, in the order of their names.
  package var softMembers: [(column: String, tensor: Tensor)] {
    guard let soft else { return [] }
    return [
      ("soft_indices.npy", Tensor(shape: [soft.codes.count], elements: soft.codes)),
      ("soft_indptr.npy", Tensor(shape: [soft.starts.count], elements: soft.starts)),
      ("soft_values.npy", Tensor(shape: [soft.values.count], elements: soft.values)),
    ]
  }

  /// Creates a sample.
  package init(
    description: SampleDescription,
    codes: Tensor,
    positions: Tensor? = nil,
    latents: Tensor? = nil,
    caption: String? = nil
  ) {
    (self.description, self.codes, self.positions) = (description, codes, positions)
    (self.latents, self.caption) = (latents, caption)
  }

  /// Creates the sample of an encoded image.
  ///
  /// - Parameters:
  ///   - image: The input.
  ///   - sha256: Of the input's bytes.
  ///   - pixels: What the network saw.
  ///   - encoded: What the tokenizer made of it.
  ///   - vocabularySize: The number of distinct codes.
  ///   - vocabularyOffset: Added to each code.
  ///   - positions: The position ids [axes, tokens], or nil without a scheme.
  ///   - keepsLatents: Whether the latents stand beside the codes.
  ///   - caption: What is said of the image; nil where captions are not asked for.
  package init(
    image: ImageInput,
    sha256: String,
    pixels: PreprocessedImage,
    encoded: EncodedImage,
    vocabularySize: Int,
    vocabularyOffset: Int = 0,
    positions: Tensor?,
    keepsLatents: Bool = false,
    caption: String? = nil
  ) {
    let (grid, latents, box) = (encoded.grid, encoded.latents, pixels.cropBox)
    let latentShape: Shape = [latents.height, latents.width, latents.dimensions]
    self.init(
      description: SampleDescription(
        key: image.key,
        source: image.source,
        sha256: sha256,
        size: [pixels.originalSize.width, pixels.originalSize.height],
        orientation: pixels.orientation.rawValue,
        resized: [pixels.resizedSize.width, pixels.resizedSize.height],
        crop: [box.left, box.top, box.left + box.width, box.top + box.height],
        grid: [grid.height, grid.width],
        margin: encoded.margin.isFinite ? encoded.margin : nil
      ),
      codes: Self.codeTensor(
        grid,
        vocabularySize: vocabularySize,
        offset: vocabularyOffset
      ),
      positions: positions,
      latents: keepsLatents ? Tensor(shape: latentShape, floats: latents.values) : nil,
      caption: caption
    )
  }

  /// The codes as the narrowest unsigned type that holds every code of the vocabulary.
  ///
  /// - Parameters:
  ///   - grid: Codes below `vocabularySize`.
  ///   - vocabularySize: The number of distinct codes.
  ///   - offset: Added to each code.
  /// - Returns: A tensor of uint8, uint16, uint32 or uint64 of the grid's shape.
  package static func codeTensor(
    _ grid: CodeGrid,
    vocabularySize: Int,
    offset: Int
  ) -> Tensor {
    let largest = UInt64(vocabularySize - 1) + UInt64(offset)
    let values = grid.codes.lazy.map { UInt64($0) + UInt64(offset) }
    let shape = Shape(grid.shape)
    func tensor(_ type: ElementType, bytes count: Int) -> Tensor {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(grid.codes.count * count)
      for value in values {
        for byte in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
      }
      return Tensor(elementType: type, shape: shape, bytes: bytes)
    }
    switch largest {
    case ...0xFF: return tensor(.uint8, bytes: 1)
    case ...0xFFFF: return tensor(.uint16, bytes: 2)
    case ...0xFFFF_FFFF: return tensor(.uint32, bytes: 4)
    default: return tensor(.uint64, bytes: 8)
    }
  }
}
