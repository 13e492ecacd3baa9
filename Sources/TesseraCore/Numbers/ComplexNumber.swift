import Foundation

/// A complex number in double precision; two doubles in memory, as LAPACK has them.
package struct ComplexNumber: Hashable, Sendable {
  /// The real part.
  package var real: Double
  /// The imaginary part.
  package var imaginary: Double

  /// Creates a number from its parts.
  package init(_ real: Double, _ imaginary: Double = 0) {
    (self.real, self.imaginary) = (real, imaginary)
  }

  package static let zero = ComplexNumber(0)
  package static let one = ComplexNumber(1)

  /// The mirror image at the real axis.
  package var conjugate: ComplexNumber { ComplexNumber(real, -imaginary) }
  /// The distance from zero, without overflow.
  package var magnitude: Double { hypot(real, imaginary) }
  /// Whether both parts are finite.
  package var isFinite: Bool { real.isFinite && imaginary.isFinite }

  package static func + (a: ComplexNumber, b: ComplexNumber) -> ComplexNumber {
    ComplexNumber(a.real + b.real, a.imaginary + b.imaginary)
  }

  package static func - (a: ComplexNumber, b: ComplexNumber) -> ComplexNumber {
    ComplexNumber(a.real - b.real, a.imaginary - b.imaginary)
  }

  package static func * (a: ComplexNumber, b: ComplexNumber) -> ComplexNumber {
    ComplexNumber(
      a.real * b.real - a.imaginary * b.imaginary,
      a.real * b.imaginary + a.imaginary * b.real
    )
  }

  package static func * (a: Double, b: ComplexNumber) -> ComplexNumber {
    ComplexNumber(a * b.real, a * b.imaginary)
  }

  /// Division by Smith's method, which does not overflow where the quotient does not.
  package static func / (a: ComplexNumber, b: ComplexNumber) -> ComplexNumber {
    if abs(b.real) >= abs(b.imaginary) {
      let ratio = b.imaginary / b.real
      let scale = b.real + b.imaginary * ratio
      return ComplexNumber(
        (a.real + a.imaginary * ratio) / scale,
        (a.imaginary - a.real * ratio) / scale
      )
    }
    let ratio = b.real / b.imaginary
    let scale = b.real * ratio + b.imaginary
    return ComplexNumber(
      (a.real * ratio + a.imaginary) / scale,
      (a.imaginary * ratio - a.real) / scale
    )
  }

  package static func += (a: inout ComplexNumber, b: ComplexNumber) { a = a + b }

  /// e to this power.
  package var exponential: ComplexNumber {
    let scale = exp(real)
    return ComplexNumber(scale * cos(imaginary), scale * sin(imaginary))
  }

  /// (e^z - 1) / z, which is 1 at zero: what an input held for one step contributes.
  package var firstPhi: ComplexNumber {
    guard magnitude < 0.7 else { return (exponential - .one) / self }
    // 1 + z/2 (1 + z/3 (1 + …)): below 0.7 the term that is left out is under 2^-60.
    var sum = ComplexNumber.one
    for divisor in stride(from: 18.0, through: 2, by: -1) {
      sum = .one + (1 / divisor) * (self * sum)
    }
    return sum
  }

  /// The power with a whole exponent, by squaring.
  package func power(_ exponent: Int) -> ComplexNumber {
    var result = ComplexNumber.one
    var square = self
    var rest = exponent
    while rest > 0 {
      if rest & 1 == 1 { result = result * square }
      square = square * square
      rest >>= 1
    }
    return result
  }
}

extension Double {
  /// ln(1 + x), right for small x.
  package var logOfOnePlus: Double { log1p(self) }

  /// log10.
  package var decimalDigits: Double { log10(self) }
}
