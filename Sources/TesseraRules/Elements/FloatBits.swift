import TesseraCore

/// Floating-point numbers in narrow types, rounded to the nearest, ties to even.
enum FloatBits {
  /// The bfloat16 nearest to a float32 given as its bits.
  ///
  /// Not-a-number stays not-a-number.
  @inline(__always)
  static func bfloat16(_ bits: UInt32) -> UInt16 {
    let rounded = (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16
    let isNaN = bits & 0x7FFF_FFFF > 0x7F80_0000
    return UInt16(truncatingIfNeeded: isNaN ? bits >> 16 | 0x40 : rounded)
  }

  /// The half nearest to a float32 given as its bits.
  ///
  /// Not-a-number stays not-a-number.
  @inline(__always)
  static func half(_ bits: UInt32) -> UInt16 {
    let magnitude = bits & 0x7FFF_FFFF
    let normal = (magnitude &- 0x3800_0000 &+ 0xFFF &+ (magnitude >> 13 & 1)) >> 13
    // Adding 1/2 shifts a subnormal's bits to the end of the significand, rounded as they should be.
    let subnormal = (Float(bitPattern: magnitude) + 0.5).bitPattern &- 0x3F00_0000
    let large: UInt32 = magnitude > 0x7F80_0000 ? 0x7E00 | magnitude >> 13 & 0x1FF : 0x7C00
    let finite = magnitude < 0x3880_0000 ? subnormal : normal
    let result = magnitude >= 0x4780_0000 ? large : finite
    return UInt16(truncatingIfNeeded: result | bits >> 16 & 0x8000)
  }

  /// A float32 between whose neighbours the number lies, with a last bit of 1 where it is inexact.
  ///
  /// Rounding it to a type with two bits less gives what rounding the number itself would give.
  static func roundedToOdd(_ x: Double) -> Float {
    let nearest = Float(x)
    guard x.isFinite, Double(nearest) != x else { return nearest }
    let isBeyond = Double(nearest.magnitude) > x.magnitude
    let towardsZero = isBeyond ? nearest.bitPattern - 1 : nearest.bitPattern
    return Float(bitPattern: towardsZero | 1)
  }

  /// The float32 of an 8-bit float with 4 bits of exponent; it has no infinity.
  static func float8E4M3(_ byte: UInt8) -> Float {
    if byte & 0x7F == 0x7F { return .nan }
    return small(byte, exponentBits: 4)
  }

  /// The float32 of an 8-bit float with 5 bits of exponent: a half without its last 8 bits.
  static func float8E5M2(_ byte: UInt8) -> Float { Float(half: UInt16(byte) << 8) }

  private static func small(_ byte: UInt8, exponentBits: Int) -> Float {
    let fractionBits = 7 - exponentBits
    let bias = 1 << (exponentBits - 1) - 1
    let exponent = Int(byte & 0x7F) >> fractionBits
    let fraction = Float(Int(byte) & (1 << fractionBits - 1)) / Float(1 << fractionBits)
    let isSubnormal = exponent == 0
    let scale = Float(sign: .plus, exponent: (isSubnormal ? 1 : exponent) - bias, significand: 1)
    let magnitude = scale * (isSubnormal ? fraction : 1 + fraction)
    return byte & 0x80 == 0 ? magnitude : -magnitude
  }
}
