extension Float {
  /// Widens a bfloat16, given as its 16 bits: exact for every value, NaN payloads included.
  package init(bfloat16 bits: UInt16) {
    self.init(bitPattern: UInt32(bits) << 16)
  }

  /// Widens an IEEE 754 half, given as its 16 bits: exact for every value, NaN payloads included.
  package init(half bits: UInt16) {
    let sign = UInt32(bits & 0x8000) << 16
    let magnitude = UInt32(bits & 0x7FFF) << 13
    // The exponent biases differ by 127 - 15; the product by a power of two normalises subnormals.
    let scaled = (Float(bitPattern: magnitude) * 0x1p112).bitPattern
    let isFinite = bits & 0x7C00 != 0x7C00
    self.init(bitPattern: sign | (isFinite ? scaled : magnitude | 0x7F80_0000))
  }
}

extension Tensor {
  /// The elements as float32, row-major, without loss.
  ///
  /// Half, bfloat16, booleans and narrow integers always fit. Wider types are accepted where every
  /// value is one that float32 holds; not-a-number stays not-a-number.
  ///
  /// - Throws: A `TesseraError` that names the first element that would change.
  public func floats() throws(TesseraError) -> [Float] {
    switch elementType {
    case .float32: elements(as: Float.self) ?? []
    case .float16: halves().map { Float(half: $0) }
    case .bfloat16: halves().map { Float(bfloat16: $0) }
    case .bool: bytes.map { $0 == 0 ? 0 : 1 }
    case .uint8: bytes.map { Float($0) }
    case .int8: bytes.map { Float(Int8(bitPattern: $0)) }
    case .uint16: halves().map { Float($0) }
    case .int16: halves().map { Float(Int16(bitPattern: $0)) }
    case .uint32: try exactly(UInt32.self) { Float(exactly: $0) }
    case .int32: try exactly(Int32.self) { Float(exactly: $0) }
    case .uint64: try exactly(UInt64.self) { Float(exactly: $0) }
    case .int64: try exactly(Int64.self) { Float(exactly: $0) }
    case .float64: try exactly(Double.self) { $0.isNaN ? .nan : Float(exactly: $0) }
    case .float4, .float6E2M3, .float6E3M2, .float8E5M2, .float8E4M3, .float8E8M0,
      .float8E4M3FNUZ, .float8E5M2FNUZ, .complex64, .complex128:
      throw TesseraError.limit(
        "\(elementType.rawValue) elements have no float32 value; store them as F32"
      )
    }
  }

  /// The elements of an integer type, row-major; nil for other types, and where a value is 2^63 or
  /// more.
  public func integers() -> [Int]? {
    switch elementType {
    case .uint8: bytes.map(Int.init)
    case .int8: bytes.map { Int(Int8(bitPattern: $0)) }
    case .uint16: halves().map(Int.init)
    case .int16: halves().map { Int(Int16(bitPattern: $0)) }
    case .uint32: elements(as: UInt32.self)?.map(Int.init)
    case .int32: elements(as: Int32.self)?.map(Int.init)
    case .int64: elements(as: Int64.self)?.map(Int.init)
    case .uint64:
      if let all = elements(as: UInt64.self), all.allSatisfy({ $0 <= Int.max }) {
        all.map(Int.init)
      } else {
        nil
      }
    default: nil
    }
  }

  /// The bytes of a 16-bit type, two at a time.
  private func halves() -> [UInt16] {
    Tensor(elementType: .uint16, shape: shape, bytes: bytes).elements() ?? []
  }

  /// Converts each element of a wide type, which is stored as `Element` or has its width.
  private func exactly<Element: TensorElement>(
    _ type: Element.Type,
    _ convert: (Element) -> Float?
  ) throws(TesseraError) -> [Float] {
    let stored = Tensor(elementType: Element.elementType, shape: shape, bytes: bytes)
    var result: [Float] = []
    result.reserveCapacity(bytes.count / MemoryLayout<Element>.size)
    for element in stored.elements(as: Element.self) ?? [] {
      guard let value = convert(element) else {
        throw TesseraError.limit(
          "element \(result.count) of type \(elementType.rawValue) is not exact in float32; round the "
            + "values to float32 where they are made"
        )
      }
      result.append(value)
    }
    return result
  }
}
