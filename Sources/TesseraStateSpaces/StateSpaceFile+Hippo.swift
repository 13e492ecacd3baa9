package import TesseraCore

extension StateSpaceFile {
  /// The file of a measure: A and B, or Lambda and B; with Lambda, P and V where the system is
  /// normal plus low rank.
  ///
  /// - Parameters:
  ///   - system: The measure.
  ///   - isDecomposed: Whether Lambda, P and V are computed beside A.
  /// - Throws: `TesseraError` where an eigenproblem fails.
  package init(_ system: HippoSystem, isDecomposed: Bool = true) throws(TesseraError) {
    let order = system.order
    self.init(arrays: [:], metadata: StateSpaceFile.metadata(of: system))
    if system.measure.isDiagonal {
      let values = try system.diagonal()
      arrays["Lambda"] = StateSpaceArray(values, shape: [values.count])
      arrays["B"] = StateSpaceArray(
        Array(repeating: ComplexNumber.one, count: values.count),
        shape: [values.count]
      )
    } else if system.measure.isComplex {
      let (a, b) = try system.complexMatrices()
      arrays["A"] = StateSpaceArray(a.elements, shape: [order, order])
      arrays["B"] = StateSpaceArray(b, shape: [order])
    } else {
      let (a, b) = try system.matrices()
      arrays["A"] = StateSpaceArray(a.elements, shape: [order, order])
      arrays["B"] = StateSpaceArray(b, shape: [order])
    }
    guard isDecomposed, NormalPlusLowRank.isDefined(for: system) else { return }
    let parts = try NormalPlusLowRank(of: system)
    let half = parts.values.count
    arrays["Lambda"] = StateSpaceArray(parts.values, shape: [half])
    arrays["V"] = StateSpaceArray(parts.vectors.elements, shape: [order, half])
    let corrections = parts.corrections.flatMap { parts.inEigenbasis($0) }
    arrays["P"] = StateSpaceArray(corrections, shape: [parts.corrections.count, half])
    metadata[Key.halves] = "Lambda, P and V hold one of each conjugate pair"
    metadata[Key.lowRank] = "A = 2 Re(V diag(Lambda) V*) - sum p p', p = 2 Re(V P[rank])"
  }

  private static func metadata(of system: HippoSystem) -> [String: String] {
    var metadata = [
      Key.system: (system.measure.isDiagonal ? Structure.diagonal : .dense).rawValue,
      Key.equation: system.measure.isTimeVarying ? "x' = (A x + B u) / t" : "x' = A x + B u",
      Key.measure: system.measure.rawValue,
      Key.form: system.form.rawValue,
      Key.order: "\(system.order)",
    ]
    if system.measure.isDiagonal {
      metadata[Key.halves] = "one of each conjugate pair; y = 2 Re(C x)"
    }
    if system.measure.hasWindow { metadata[Key.window] = "\(system.window)" }
    if system.measure == .lagt { metadata[Key.tilt] = "\(system.tilt)" }
    return metadata
  }
}
