/// A Swift type that stands for an element type, bit for bit.
public protocol TensorElement: BitwiseCopyable, Hashable, Sendable {
  /// The element type with the same width and meaning.
  static var elementType: ElementType { get }
}

extension UInt8: TensorElement {
  /// `U8`.
  public static var elementType: ElementType { .uint8 }
}

extension UInt16: TensorElement {
  /// `U16`.
  public static var elementType: ElementType { .uint16 }
}

extension UInt32: TensorElement {
  /// `U32`.
  public static var elementType: ElementType { .uint32 }
}

extension Int32: TensorElement {
  /// `I32`.
  public static var elementType: ElementType { .int32 }
}

extension Int64: TensorElement {
  /// `I64`.
  public static var elementType: ElementType { .int64 }
}

extension UInt64: TensorElement {
  /// `U64`.
  public static var elementType: ElementType { .uint64 }
}

extension Float: TensorElement {
  /// `F32`.
  public static var elementType: ElementType { .float32 }
}

extension Double: TensorElement {
  /// `F64`.
  public static var elementType: ElementType { .float64 }
}

extension Tensor {
  /// Creates a tensor from as many elements as the shape holds, row-major.
  public init<Element: TensorElement>(shape: Shape, elements: [Element]) {
    // Every platform that Swift runs on here is little-endian.
    let bytes = unsafe elements.withUnsafeBytes { unsafe Array($0) }
    self.init(elementType: Element.elementType, shape: shape, bytes: bytes)
  }

  /// The elements, row-major; nil where the tensor's type is another one.
  public func elements<Element: TensorElement>(as type: Element.Type = Element.self) -> [Element]? {
    guard elementType == Element.elementType else { return nil }
    let count = bytes.count / MemoryLayout<Element>.size
    return unsafe [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe UnsafeMutableRawBufferPointer(buffer).copyBytes(from: bytes)
      initialized = count
    }
  }
}
