import TesseraCore

/// A function of one number that recipes apply to every element; each has an inverse.
///
/// It is computed in float64 and rounded once to the element's type.
package enum ElementMap: String, Sendable, Hashable, CaseIterable {
  /// e^x.
  case exp
  /// ln x.
  case log
  /// -e^x: Mamba's A from its `A_log`.
  case negExp = "neg_exp"
  /// ln(-x).
  case logNeg = "log_neg"
  /// ln(1 + e^x).
  case softplus
  /// ln(e^x - 1).
  case softplusInverse = "softplus_inverse"
  /// 1 / (1 + e^-x).
  case sigmoid
  /// ln(x / (1 - x)).
  case logit

  /// The function that undoes this one.
  package var inverse: ElementMap {
    switch self {
    case .exp: .log
    case .log: .exp
    case .negExp: .logNeg
    case .logNeg: .negExp
    case .softplus: .softplusInverse
    case .softplusInverse: .softplus
    case .sigmoid: .logit
    case .logit: .sigmoid
    }
  }

  /// The value at `x`; not a number outside of the function's domain.
  package func callAsFunction(_ x: Double) -> Double {
    switch self {
    case .exp: return ElementaryFunctions.exp(x)
    case .log: return ElementaryFunctions.log(x)
    case .negExp: return -ElementaryFunctions.exp(x)
    case .logNeg: return ElementaryFunctions.log(-x)
    case .softplus:
      return x.isNaN ? x : max(x, 0) + ElementaryFunctions.log1p(ElementaryFunctions.exp(-abs(x)))
    case .softplusInverse:
      // Stable for small x, where e^x - 1 would cancel, and for large x, where e^x would overflow.
      return x + ElementaryFunctions.log(-ElementaryFunctions.expm1(-x))
    case .sigmoid:
      let power = ElementaryFunctions.exp(-abs(x))
      return x < 0 ? power / (1 + power) : 1 / (1 + power)
    case .logit: return ElementaryFunctions.log(x) - ElementaryFunctions.log1p(-x)
    }
  }
}
