package import TesseraCore

/// How a system whose equation has the factor 1/t is stepped: what `discretize` and `encode` both offer.
package enum VaryingRule: Hashable, Sendable {
  /// One of the public conventions.
  case convention(LegsConvention)
  /// The paper's generalised bilinear rule with the share of the derivative that a method has at the step's end.
  case weighted(DiscretizationMethod)

  /// Why zoh is none of them.
  package static let refusal =
    "a step with the factor 1/t has no dt: say --convention (optimal is the exact one), or --method forward, "
    + "backward, bilinear or gbt:A without --dt"

  /// A rule from what a user says; nil for both, none, or zoh.
  package init?(method: DiscretizationMethod?, convention: LegsConvention?) {
    switch (method, convention) {
    case (nil, let convention?): self = .convention(convention)
    case (let method?, nil):
      guard method != .zeroOrderHold else { return nil }
      self = .weighted(method)
    default: return nil
    }
  }

  /// The first K that can be stepped from.
  package var firstStep: Int {
    if case .convention(let convention) = self { convention.firstStep } else { 1 }
  }

  /// The weights of one step: (I - implicit A) x' = (I + explicit A) x + input B u; nil for `optimal`.
  func weights(step: Int) -> (explicit: Double, implicit: Double, input: Double)? {
    switch self {
    case .convention(let convention): return convention.weights(step: step)
    case .weighted(.generalizedBilinear(let weight)):
      let (now, next) = (Double(step), Double(step) + 1)
      return ((1 - weight) / now, weight / next, 1 / now)
    case .weighted(.zeroOrderHold): return nil
    }
  }
}

/// A system with the factor 1/t, and the rule by which it is stepped.
struct VaryingSystem {
  let system: HippoSystem
  let rule: VaryingRule
  let dense: DenseSystem
  /// The eigenvalues of A where the rule may let modes grow that decay.
  private let rates: [ComplexNumber]

  /// - Throws: `TesseraError` for a measure without that factor.
  init(_ system: HippoSystem, _ rule: VaryingRule) throws(TesseraError) {
    guard system.measure.isTimeVarying else {
      let names = HippoMeasure.allCases.filter(\.isTimeVarying).map(\.rawValue)
      throw .mismatch(
        "steps with the factor 1/t are defined for \(names.joined(separator: " and ")), not for "
          + "\(system.measure.rawValue); say --method and --dt"
      )
    }
    (self.system, self.rule) = (system, rule)
    dense = try DenseSystem(StateSpaceFile(system, isDecomposed: false))
    guard case .weighted(.generalizedBilinear(let weight)) = rule, weight < 0.5 else {
      rates = []
      return
    }
    rates =
      system.measure == .legs
      ? [ComplexNumber(-Double(system.order))]
      : try LinearAlgebra.eigen(system.complexMatrices().a).values
  }

  /// Refuses a step with which a mode that decays would grow.
  func check(
    _ weights: (explicit: Double, implicit: Double, input: Double),
    step: Int
  ) throws(TesseraError) {
    for rate in rates {
      let growth =
        (ComplexNumber.one + weights.explicit * rate).magnitude
        / (ComplexNumber.one - weights.implicit * rate).magnitude
      guard growth > 1 + 1e-12, case .weighted(let method) = rule else { continue }
      let square = rate.real * rate.real + rate.imaginary * rate.imaginary
      let first = (weights.explicit - weights.implicit) * Double(step) * square / (-2 * rate.real)
      throw .limit(
        "\(method.name) explodes at K = \(step): the mode \(rate.real) + \(rate.imaginary)i grows by \(growth) a "
          + "step; it is stable from about K = \(first.rounded(.up)) on; use --convention optimal"
      )
    }
  }
}

extension StateSpaceFile {
  /// The file with one step of its measure's equation with the factor 1/t, as `A_bar` and `B_bar`.
  ///
  /// - Parameters:
  ///   - step: The samples seen before.
  ///   - rule: How to step.
  /// - Returns: The file, without dt.
  /// - Throws: `TesseraError` where the measure has no such factor, or A and B are not those of the measure.
  package func stepped(
    from step: Int,
    by rule: VaryingRule
  ) throws(TesseraError) -> StateSpaceFile {
    guard let system = try hippo() else {
      throw .mismatch(
        "0 of 1 measures named: the metadata have no \(Key.measure), and a step with the factor 1/t is made of "
          + "it; make the file with 'ssm hippo'"
      )
    }
    let made = try LegsStep(step, first: rule.firstStep).file(of: system, by: rule)
    for name in ["A", "B"] {
      guard let own = made.arrays[name], let stored = arrays[name] else { continue }
      let size = own.values.reduce(0) { max($0, abs($1)) }
      guard own.shape == stored.shape, own.isComplex == stored.isComplex,
        zip(own.values, stored.values).allSatisfy({ abs($0 - $1) <= 1e-6 * size })
      else {
        throw .mismatch(
          "\(name) is not that of \(system.measure.rawValue) of order \(system.order), which the metadata name and "
            + "of which the step is made"
        )
      }
    }
    var result = made
    for (name, array) in arrays where !["A_bar", "B_bar", "dt", "l_kernel"].contains(name) {
      result.arrays[name] = array
    }
    result.unused = unused + (arrays["dt"] == nil ? [] : ["dt"])
    return result
  }
}
