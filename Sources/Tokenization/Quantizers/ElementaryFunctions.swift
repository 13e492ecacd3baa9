/// Elementary functions in float64 that give the same bits on every CPU and with every C library.
///
/// They are sums and products in one fixed order, without fused operations. Their error is a few
/// units in the last place of float64, so that a result rounded to float32 is the correctly rounded
/// one but for about one argument in 10⁸.
enum ElementaryFunctions {
  /// e^x - 1 for x from -708 to 709, in two parts: the result is `power * (1 + fraction) - 1`.
  @inline(__always)
  private static func exponentialParts(_ x: Double) -> (power: Double, fraction: Double) {
    // x = k ln 2 + r with |r| ≤ ln 2 / 2. Adding 1.5 · 2^52 rounds to the whole number k, and
    // leaves it in the low bits of the sum. ln 2 is split so that k times its upper part is exact.
    let shifted = x * 0x1.71547652b82fep0 + 0x1.8p52
    let k = shifted - 0x1.8p52
    let r = (x - k * 0x1.62e42fefa0000p-1) - k * 0x1.cf79abc9e3b3ap-40
    // Taylor's series of e^r - 1 to r^13: the next term is below 5e-18.
    var series = 1.0 / 6_227_020_800
    series = series * r + 1.0 / 479_001_600
    series = series * r + 1.0 / 39_916_800
    series = series * r + 1.0 / 3_628_800
    series = series * r + 1.0 / 362_880
    series = series * r + 1.0 / 40_320
    series = series * r + 1.0 / 5_040
    series = series * r + 1.0 / 720
    series = series * r + 1.0 / 120
    series = series * r + 1.0 / 24
    series = series * r + 1.0 / 6
    series = series * r + 0.5
    let fraction = r + r * r * series
    let power = Double(bitPattern: (shifted.bitPattern << 52) &+ 0x3FF0_0000_0000_0000)
    return (power, fraction)
  }

  /// The hyperbolic tangent.
  @inline(__always)
  static func tanh(_ x: Double) -> Double {
    // Beyond 20 the result rounds to 1. With m = e^2|x| - 1, tanh |x| = m / (m + 2), which keeps its
    // relative precision near 0.
    let doubled = 2 * min(abs(x), 20)
    let (power, fraction) = exponentialParts(doubled)
    let m = (power - 1) + power * fraction
    let magnitude = m / (m + 2)
    return x < 0 ? -magnitude : magnitude
  }

  /// The logistic function 1 / (1 + e^-x).
  @inline(__always)
  static func sigmoid(_ x: Double) -> Double {
    // Beyond 100 in size the result is 0 or 1 for any number of levels.
    let (power, fraction) = exponentialParts(-max(-100, min(100, x)))
    return 1 / (1 + (power + power * fraction))
  }

  /// e^x for x up to 709; 0 below -708.
  @inline(__always)
  static func exponential(_ x: Double) -> Double {
    guard x >= -708 else { return 0 }
    let (power, fraction) = exponentialParts(min(x, 709))
    return power + power * fraction
  }

  /// The natural logarithm of a positive, normal number.
  @inline(__always)
  static func logarithm(_ x: Double) -> Double {
    // x = 2^k m with m from √½ to √2; log m = 2 artanh s with s = (m - 1) / (m + 1), |s| < 0.1716.
    var k = Double(x.exponent)
    var m = x.significand
    if m > 0x1.6a09e667f3bcdp0 {
      m /= 2
      k += 1
    }
    let s = (m - 1) / (m + 1)
    let square = s * s
    var series = 0.0
    for term in stride(from: 23, through: 3, by: -2) {
      series = (series + 1 / Double(term)) * square
    }
    return k * 0x1.62e42fefa39efp-1 + (2 * s + 2 * s * series)
  }
}
