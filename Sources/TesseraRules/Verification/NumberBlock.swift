import TesseraCore

/// Elements of any type as numbers, a block at a time.
enum NumberBlock {
  /// Whether elements of a type are numbers that can be compared one by one.
  static func holds(_ type: ElementType) -> Bool {
    switch type {
    case .float4, .float6E2M3, .float6E3M2, .float8E8M0, .float8E4M3FNUZ, .float8E5M2FNUZ: false
    default: true
    }
  }

  /// The numbers that an element stands for: two for a complex one.
  static func numbersPerElement(_ type: ElementType) -> Int {
    type == .complex64 || type == .complex128 ? 2 : 1
  }

  /// Reads numbers; integers of 64 bits are rounded, so equality is judged by the bytes.
  ///
  /// - Parameters:
  ///   - source: At least `range.upperBound` numbers of the type.
  ///   - type: Their type.
  ///   - range: Which numbers.
  ///   - numbers: Takes them, from its start on.
  static func load(
    _ source: UnsafeRawBufferPointer,
    as type: ElementType,
    _ range: Range<Int>,
    into numbers: inout [Double]
  ) {
    func each(_ width: Int, _ number: (Int) -> Double) {
      for (slot, index) in range.enumerated() { numbers[slot] = number(index * width) }
    }
    func bits<T: BitwiseCopyable>(_ offset: Int, _ type: T.Type) -> T {
      unsafe source.loadUnaligned(fromByteOffset: offset, as: type)
    }
    switch type {
    case .float64, .complex128: each(8) { bits($0, Double.self) }
    case .float32, .complex64: each(4) { Double(bits($0, Float.self)) }
    case .float16: each(2) { Double(Float(half: bits($0, UInt16.self))) }
    case .bfloat16: each(2) { Double(Float(bfloat16: bits($0, UInt16.self))) }
    case .float8E4M3: each(1) { Double(FloatBits.float8E4M3(bits($0, UInt8.self))) }
    case .float8E5M2: each(1) { Double(FloatBits.float8E5M2(bits($0, UInt8.self))) }
    case .bool, .uint8: each(1) { Double(bits($0, UInt8.self)) }
    case .int8: each(1) { Double(bits($0, Int8.self)) }
    case .uint16: each(2) { Double(bits($0, UInt16.self)) }
    case .int16: each(2) { Double(bits($0, Int16.self)) }
    case .uint32: each(4) { Double(bits($0, UInt32.self)) }
    case .int32: each(4) { Double(bits($0, Int32.self)) }
    case .uint64: each(8) { Double(bits($0, UInt64.self)) }
    case .int64: each(8) { Double(bits($0, Int64.self)) }
    case .float4, .float6E2M3, .float6E3M2, .float8E8M0, .float8E4M3FNUZ, .float8E5M2FNUZ:
      for slot in 0..<range.count { numbers[slot] = .nan }
    }
  }
}
