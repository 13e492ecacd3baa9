package import TesseraCore

extension StateSpaceFile {
  /// The arrays that a state-space file may hold.
  package static let names: Set<String> = [
    "A", "B", "C", "D", "Lambda", "P", "V", "A_bar", "B_bar", "dt", "l_kernel",
  ]

  /// Refuses an array under a name that has no meaning here: leaving it out would be another system.
  static func checkNames(_ found: [String]) throws(TesseraError) {
    let others = found.filter { !names.contains($0) }.sorted()
    guard let first = others.first else { return }
    let more = others.count > 1 ? " (and \(others.count - 1) others)" : ""
    throw .mismatch(
      "'\(first)'\(more) is no array of a state-space file, which holds "
        + "\(names.sorted().joined(separator: ", ")); write what belongs to the system under these names, and "
        + "leave the rest out"
    )
  }

  /// The steps that the file stores; nil where it has none.
  ///
  /// - Throws: `TesseraError` where dt is neither a number nor a list of real ones.
  func storedSteps() throws(TesseraError) -> StepLengths? {
    guard let stored = arrays["dt"] else { return nil }
    guard !stored.isComplex, stored.shape.count <= 1 else {
      throw .mismatch(
        "dt has the shape \(stored.storedShape): one real number, or a list of one per channel"
      )
    }
    return stored.shape.isEmpty ? .one(stored.values[0]) : .channels(stored.values)
  }

  /// The length L for which C is stored as C (I - Ā^L); 0 where it is not.
  ///
  /// - Throws: `TesseraError` where l_kernel is no length.
  func truncation() throws(TesseraError) -> Int {
    guard let stored = arrays["l_kernel"] else { return 0 }
    guard !stored.isComplex, stored.values.count == 1, stored.shape.count <= 1,
      let length = Int(exactly: stored.values[0]), (0...1 << 40).contains(length)
    else {
      throw .mismatch(
        "l_kernel has the shape \(stored.storedShape) and begins with \(stored.values.first ?? 0); one whole "
          + "number from 0 was expected"
      )
    }
    return length
  }

  /// Refuses arrays that would be left out or read as something else under a structure.
  ///
  /// - Parameter structure: What the arrays are.
  /// - Throws: `TesseraError` that names the array.
  package func check(parts structure: Structure) throws(TesseraError) {
    try StateSpaceFile.checkNames(Array(arrays.keys))
    _ = try storedSteps()
    let length = try truncation()
    if structure != .dplr, length != 0 {
      throw .mismatch(
        "l_kernel is \(length) in a \(structure.rawValue) system: C (I - A_bar^L) belongs to dplr"
      )
    }
    if structure != .dense, arrays["A"] != nil {
      throw .mismatch(
        "A stands beside Lambda in a \(structure.rawValue) system: say --system dense, or leave A out"
      )
    }
    if structure == .diagonal, arrays["P"] != nil {
      throw .mismatch("P stands in a diagonal system: say --system dplr, or leave P out")
    }
    guard (arrays["A_bar"] == nil) == (arrays["B_bar"] == nil) else {
      throw .mismatch("A_bar and B_bar belong together, and one of them is missing")
    }
    try checkDecomposition(structure)
    if structure == .dense { try checkOutput() }
    try checkSkip(structure)
  }

  /// Lambda, P and V: a normal matrix and a low rank.
  private func checkDecomposition(_ structure: Structure) throws(TesseraError) {
    guard let modes = arrays["Lambda"]?.shape.last else { return }
    if structure == .dense, let lambda = arrays["Lambda"], lambda.shape != [modes] {
      throw .mismatch(
        "Lambda has the shape \(lambda.storedShape) beside A, and [\(modes), 2] was expected"
      )
    }
    if structure == .dense, let p = arrays["P"], p.shape.count != 2 || p.shape[1] != modes {
      throw .mismatch(
        "P has the shape \(p.storedShape) beside A, and [rank, \(modes), 2] was expected"
      )
    }
    if let v = arrays["V"], v.shape.count != 2 || v.shape[1] != modes {
      throw .mismatch("V has the shape \(v.storedShape), and [states, \(modes), 2] was expected")
    }
  }

  /// C of a dense system: a row of states, or one for each output.
  private func checkOutput() throws(TesseraError) {
    guard let c = arrays["C"], let order = (arrays["A"] ?? arrays["A_bar"])?.shape.last else {
      return
    }
    guard c.shape.last == order, c.shape.count <= 2 else {
      throw .mismatch(
        "C has the shape \(c.storedShape): [\(order)] or [channels, \(order)] was expected"
      )
    }
  }

  /// D: a number, one an output, or outputs by inputs.
  private func checkSkip(_ structure: Structure) throws(TesseraError) {
    guard let d = arrays["D"] else { return }
    var (outputs, inputs) = (1, 1)
    switch structure {
    case .dense:
      inputs = arrays["B"]?.shape.dropFirst().reduce(1, *) ?? 1
      if let c = arrays["C"], c.shape.count > 1 { outputs = c.shape[0] }
    case .diagonal, .dplr:
      let channels = try storedSteps()?.shape.first
      let system = try DiagonalSystem(self, channels: channels)
      (outputs, inputs) = (system.outputCount, system.channels)
    }
    // S4 adds the input of a layer with two directions once, so D has half of C's rows.
    let rows = [1, outputs] + (outputs % 2 == 0 ? [outputs / 2] : [])
    let fits =
      switch d.shape.count {
      case 0: true
      case 1: [1, inputs, outputs].contains(d.shape[0])
      case 2: rows.contains(d.shape[0]) && [1, inputs].contains(d.shape[1])
      default: false
      }
    guard fits, !d.isComplex else {
      throw .mismatch(
        "D has the shape \(d.storedShape), and there are \(outputs) outputs and \(inputs) inputs"
      )
    }
  }

  /// The arrays that a result does not depend on, and those of the source that are no part of the file.
  ///
  /// - Parameter used: The arrays that it was made of.
  /// - Returns: Names, in alphabetical order.
  package func unused(besides used: Set<String>) -> [String] {
    (arrays.keys.filter { !used.contains($0) } + unused).sorted()
  }

  /// The arrays of which a kernel is made.
  ///
  /// - Parameters:
  ///   - discrete: Where Ā and B̄ come from.
  ///   - structure: What the arrays are.
  /// - Returns: Their names.
  package static func kernelParts(_ discrete: Discrete, _ structure: Structure) -> Set<String> {
    if discrete == .stored { return ["A_bar", "B_bar", "C", "l_kernel"] }
    switch structure {
    case .dense: return ["A", "B", "C", "dt", "l_kernel"]
    case .diagonal: return ["Lambda", "B", "C", "dt", "l_kernel"]
    case .dplr: return ["Lambda", "P", "B", "C", "dt", "l_kernel"]
    }
  }
}
