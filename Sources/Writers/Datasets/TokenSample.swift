public import Readers
public import Tensors

/// One image as a dataset keeps it.
public struct TokenSample: Sendable {
  /// Where the image came from and what was done to it.
  public let description: SampleDescription
  /// The codes, unsigned [height, width], the vocabulary offset added.
  public let codes: Tensor
  /// The position ids [axes, tokens], or nil without a scheme.
  public let positions: Tensor?
  /// The latents before quantization, float32 [height, width, channels], or nil where not asked for.
  public let latents: Tensor?

  /// Creates a sample.
  public init(
    description: SampleDescription,
    codes: Tensor,
    positions: Tensor? = nil,
    latents: Tensor? = nil
  ) {
    self.description = description
    self.codes = codes
    self.positions = positions
    self.latents = latents
  }

  /// The codes as the narrowest unsigned type that holds every code of the vocabulary.
  ///
  /// - Parameters:
  ///   - codes: Row-major codes below `vocabularySize`.
  ///   - height: The rows of the grid.
  ///   - width: The columns of the grid.
  ///   - vocabularySize: The number of distinct codes.
  ///   - offset: Added to each code.
  /// - Returns: A tensor of uint8, uint16, uint32 or uint64 [height, width].
  public static func codeTensor(
    _ codes: [UInt32],
    height: Int,
    width: Int,
    vocabularySize: Int,
    offset: Int
  ) -> Tensor {
    let largest = UInt64(vocabularySize - 1) + UInt64(offset)
    let values = codes.lazy.map { UInt64($0) + UInt64(offset) }
    let shape: Shape = [height, width]
    func tensor(_ type: ElementType, bytes count: Int) -> Tensor {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(codes.count * count)
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
