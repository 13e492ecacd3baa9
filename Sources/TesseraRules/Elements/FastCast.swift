import TesseraCore

/// The casts between float32 and the 16-bit types, in loops that the compiler makes into vectors.
enum FastCast {
  /// Casts elements; false where there is no such loop.
  static func run(
    from input: ElementType,
    _ source: UnsafeRawBufferPointer,
    to type: ElementType,
    _ output: UnsafeMutableRawBufferPointer,
    count: Int
  ) throws(ElementRangeError) -> Bool {
    guard let from = source.baseAddress, let to = output.baseAddress else { return count == 0 }
    switch (input, type) {
    case (.float32, .bfloat16), (.float32, .float16):
      let words = unsafe from.assumingMemoryBound(to: UInt32.self)
      let halves = unsafe to.assumingMemoryBound(to: UInt16.self)
      let isFinite =
        unsafe type == .float16
        ? narrow(words, halves, count, infinity: 0x7C00) { FloatBits.half($0) }
        : narrow(words, halves, count, infinity: 0x7F80) { FloatBits.bfloat16($0) }
      if !isFinite { throw unsafe firstError(words, halves, count, type) }
    case (.bfloat16, .float32), (.float16, .float32):
      let halves = unsafe from.assumingMemoryBound(to: UInt16.self)
      let floats = unsafe to.assumingMemoryBound(to: Float.self)
      if input == .float16 {
        for index in 0..<count { unsafe floats[index] = Float(half: halves[index]) }
      } else {
        for index in 0..<count { unsafe floats[index] = Float(bfloat16: halves[index]) }
      }
    default: return false
    }
    return true
  }

  /// Rounds float32 to 16 bits; false where a finite number has no finite result.
  ///
  /// Inlined with its closure, so that each type has a loop of its own.
  @inline(__always)
  private static func narrow(
    _ source: UnsafePointer<UInt32>,
    _ output: UnsafeMutablePointer<UInt16>,
    _ count: Int,
    infinity: UInt16,
    _ round: (UInt32) -> UInt16
  ) -> Bool {
    // Any result without a finite exponent ends the fast way; the slow one finds out why.
    var overflow: UInt32 = 0
    for index in 0..<count {
      let bits = unsafe source[index]
      let result = round(bits)
      unsafe output[index] = result
      let isLost = result & 0x7FFF == infinity && bits & 0x7FFF_FFFF < 0x7F80_0000
      overflow |= isLost ? 1 : 0
    }
    return overflow == 0
  }

  private static func firstError(
    _ source: UnsafePointer<UInt32>,
    _ output: UnsafePointer<UInt16>,
    _ count: Int,
    _ type: ElementType
  ) -> ElementRangeError {
    let infinity: UInt16 = type == .float16 ? 0x7C00 : 0x7F80
    for index in 0..<count {
      let value = unsafe Float(bitPattern: source[index])
      if value.isFinite, unsafe output[index] & 0x7FFF == infinity {
        let step = ElementPipeline.Step.cast(type).description
        return ElementRangeError(value: Double(value), step: step, type: type)
      }
    }
    return ElementRangeError(value: .nan, step: "cast", type: type)
  }
}
