/// Elementary functions in float64 that give the same bits on every CPU and with every C library.
///
/// They are sums and products in one fixed order, without fused operations. Their error is a few
/// units in the last place of float64, so that a result rounded to float32 is the correctly rounded
/// one but for about one argument in 10⁸.
package enum ElementaryFunctions {
  /// e^x as `power * (1 + fraction)`, for x from -708 to 709.
  @inlinable package static func exponentialParts(
    _ x: Double
  ) -> (power: Double, fraction: Double) {
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
    let power = Double(bitPattern: (shifted.bitPattern << 52) &+ 0x3FF0_0000_0000_0000)
    return (power, r + r * r * series)
  }

  /// e^x.
  @inlinable package static func exp(_ x: Double) -> Double {
    if x.isNaN { return x }
    if x > 710 { return .infinity }
    if x < -746 { return 0 }
    if abs(x) > 708 {
      let root = exp(x / 2)
      return root * root
    }
    let (power, fraction) = exponentialParts(x)
    return power + power * fraction
  }

  /// e^x - 1, precise near 0.
  @inlinable package static func expm1(_ x: Double) -> Double {
    if x.isNaN || x == 0 { return x }
    if abs(x) > 50 { return exp(x) - 1 }
    let (power, fraction) = exponentialParts(x)
    return (power - 1) + power * fraction
  }

  /// The natural logarithm; not a number below 0.
  @inlinable package static func log(_ x: Double) -> Double {
    guard x > 0 else { return x == 0 ? -.infinity : .nan }
    guard x.isFinite else { return x }
    // x = 2^k m with m from √½ to √2.
    var k = Double(x.exponent)
    var m = x.significand
    if m > 0x1.6a09e667f3bcdp0 {
      m /= 2
      k += 1
    }
    let tail = k * 0x1.cf79abc9e3b3ap-40
    return (logarithm(m - 1, over: m + 1) + tail) + k * 0x1.62e42fefa0000p-1
  }

  /// ln(1 + x), precise near 0.
  @inlinable package static func log1p(_ x: Double) -> Double {
    abs(x) < 0.5 ? logarithm(x, over: 2 + x) : log(1 + x)
  }

  /// 2 artanh(a / b) by its series, for |a / b| ≤ 1/3.
  @inlinable package static func logarithm(_ a: Double, over b: Double) -> Double {
    let s = a / b
    let square = s * s
    var series = 0.0
    for term in stride(from: 33, through: 3, by: -2) {
      series = (series + 1 / Double(term)) * square
    }
    return 2 * s + 2 * s * series
  }

  /// The hyperbolic tangent.
  @inlinable package static func tanh(_ x: Double) -> Double {
    // Beyond 20 the result rounds to 1. With m = e^2|x| - 1, tanh |x| = m / (m + 2), which keeps its
    // relative precision near 0.
    let doubled = 2 * min(abs(x), 20)
    let (power, fraction) = exponentialParts(doubled)
    let m = (power - 1) + power * fraction
    let magnitude = m / (m + 2)
    return x < 0 ? -magnitude : magnitude
  }

  /// The logistic function 1 / (1 + e^-x).
  @inlinable package static func sigmoid(_ x: Double) -> Double {
    // Beyond 100 in size the result is 0 or 1 for any number of levels.
    let (power, fraction) = exponentialParts(-max(-100, min(100, x)))
    return 1 / (1 + (power + power * fraction))
  }
}
