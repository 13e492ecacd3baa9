/// A whole tensor in memory: row-major, little-endian bytes.
public struct Tensor: Hashable, Sendable {
  /// The type of the elements.
  public let elementType: ElementType
  /// The extents, outermost first.
  public let shape: Shape
  /// The elements, row-major and little-endian, without padding.
  public let bytes: [UInt8]

  /// Creates a tensor; the byte count must be what shape and type say.
  public init(elementType: ElementType, shape: Shape, bytes: [UInt8]) {
    let expected = shape.elementCount.flatMap { elementType.byteCount(elements: $0) }
    precondition(expected == bytes.count, "\(shape) of \(elementType) is not \(bytes.count) bytes")
    (self.elementType, self.shape, self.bytes) = (elementType, shape, bytes)
  }

  /// Creates a float32 tensor.
  public init(shape: Shape, floats: [Float]) {
    // Every platform that Swift runs on here is little-endian.
    let bytes = unsafe floats.withUnsafeBytes { unsafe Array($0) }
    self.init(elementType: .float32, shape: shape, bytes: bytes)
  }
}
