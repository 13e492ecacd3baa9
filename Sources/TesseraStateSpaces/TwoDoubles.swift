/// A number as the unevaluated sum of two doubles: 106 bits, for results that are to be right to the
/// last bit of one double.
struct TwoDoubles {
  var high: Double
  var low: Double

  init(_ high: Double, _ low: Double = 0) {
    (self.high, self.low) = (high, low)
  }

  /// The quotient of two whole numbers.
  init(_ numerator: Int, over denominator: Int) {
    self = TwoDoubles(Double(numerator)) / Double(denominator)
  }

  /// The sum of two doubles without loss; `a` need not be the larger one.
  private static func exactSum(_ a: Double, _ b: Double) -> TwoDoubles {
    let sum = a + b
    let part = sum - a
    return TwoDoubles(sum, (a - (sum - part)) + (b - part))
  }

  private static func normalized(_ high: Double, _ low: Double) -> TwoDoubles {
    let sum = high + low
    return TwoDoubles(sum, low - (sum - high))
  }

  static func + (a: TwoDoubles, b: TwoDoubles) -> TwoDoubles {
    let high = exactSum(a.high, b.high)
    let low = exactSum(a.low, b.low)
    let middle = normalized(high.high, high.low + low.high)
    return normalized(middle.high, middle.low + low.low)
  }

  static prefix func - (a: TwoDoubles) -> TwoDoubles { TwoDoubles(-a.high, -a.low) }

  static func - (a: TwoDoubles, b: TwoDoubles) -> TwoDoubles { a + -b }

  static func * (a: TwoDoubles, b: TwoDoubles) -> TwoDoubles {
    let product = a.high * b.high
    let rest = (-product).addingProduct(a.high, b.high)
    return normalized(product, rest + (a.high * b.low + a.low * b.high))
  }

  static func / (a: TwoDoubles, b: Double) -> TwoDoubles {
    let first = a.high / b
    let rest = a - TwoDoubles(first) * TwoDoubles(b)
    return normalized(first, (rest.high + rest.low) / b)
  }
}
