import Foundation
package import TesseraCheckpoints
import TesseraCore

/// The linear recurrent unit (Orvieto et al., arXiv 2303.06349) between its parameters, its discrete
/// system and a continuous one.
///
/// λ = exp(-exp(nu_log) + i exp(theta_log)), B = (B_re + i B_im) exp(gamma_log) by rows, y = Re(C x) + D u:
/// no conjugate pairs and no factor 2. A continuous system needs a step that somebody names, and
/// |arg λ| < π, beyond which another frequency has the same samples.
package struct LinearRecurrentUnit: Sendable {
  private let values: [ComplexNumber]
  /// [states, inputs], normalised.
  private let input: [ComplexNumber]
  private let output: StateSpaceArray
  private let skip: StateSpaceArray?
  /// The tensors of the layer's surroundings that are no part of the unit.
  private let others: [String]
  private var states: Int { values.count }
  private var inputs: Int { input.count / max(states, 1) }

  /// Reads the parameters as minimal-LRU and its ports name them, under any prefix.
  ///
  /// - Parameters:
  ///   - reader: Holds `nu_log`, `theta_log`, `gamma_log`, `B_re`, `B_im`, `C_re`, `C_im`, and `D`.
  ///   - prefix: What stands before these names; nil where the file has one layer.
  /// - Throws: `TesseraError` where arrays are missing or do not fit.
  package init(of reader: any CheckpointReader, layer prefix: String? = nil) throws {
    let layer = try Self.layer(prefix, of: reader)
    func array(_ name: String) throws -> StateSpaceArray? {
      try reader.tensors.first { $0.name == layer + name }.map {
        try StateSpaceFile.array($0, of: reader, isComplex: false)
      }
    }
    func required(_ name: String) throws -> StateSpaceArray {
      guard let array = try array(name) else {
        throw TesseraError.mismatch("holds no '\(layer)\(name)'")
      }
      return array
    }
    others = try Self.others(of: reader, layer)
    func list(_ name: String) throws -> [Double] {
      let array = try required(name)
      guard array.shape.count == 1, !array.isComplex else {
        throw TesseraError.mismatch(
          "\(layer)\(name) has the shape \(array.storedShape), and one number a state was expected"
        )
      }
      return array.values
    }
    let (nu, theta, gamma) = (try list("nu_log"), try list("theta_log"), try list("gamma_log"))
    let (real, imaginary) = (try required("B_re"), try required("B_im"))
    let (c, cImaginary) = (try required("C_re"), try required("C_im"))
    let count = nu.count
    guard count > 0, theta.count == count, gamma.count == count, real.shape.count == 2,
      real.shape[0] == count, imaginary.shape == real.shape, c.shape.count == 2,
      c.shape[1] == count, cImaginary.shape == c.shape
    else {
      throw TesseraError.mismatch(
        "\(layer)B_re has the shape \(real.shape), B_im \(imaginary.shape), C_re \(c.shape) and C_im "
          + "\(cImaginary.shape) for \(count) states"
      )
    }
    values = zip(nu, theta).map { nu, theta in
      let (size, angle) = (exp(-exp(nu)), exp(theta))
      return ComplexNumber(size * cos(angle), size * sin(angle))
    }
    guard ![real, imaginary, c, cImaginary].contains(where: \.isComplex) else {
      throw TesseraError.mismatch("\(layer)B_re, B_im, C_re and C_im are real numbers")
    }
    let inputs = real.shape[1]
    input = real.values.indices.map { index in
      exp(gamma[index / max(inputs, 1)])
        * ComplexNumber(real.values[index], imaginary.values[index])
    }
    output = StateSpaceArray(
      zip(c.values, cImaginary.values).map { ComplexNumber($0, $1) },
      shape: c.shape
    )
    skip = try array("D")
    try Self.check(skip, layer, inputs: inputs, outputs: c.shape[0])
  }

  /// The parameters of a unit.
  private static let names: Set<String> = [
    "nu_log", "theta_log", "gamma_log", "B_re", "B_im", "C_re", "C_im", "D",
  ]

  /// The tensors below a layer that are none of the unit's, which are refused beside these and named further down.
  private static func others(
    of reader: any CheckpointReader,
    _ layer: String
  ) throws(TesseraError) -> [String] {
    var others: [String] = []
    for tensor in reader.tensors where tensor.name.hasPrefix(layer) {
      let rest = String(tensor.name.dropFirst(layer.count))
      guard !names.contains(rest) else { continue }
      guard rest.contains(".") else {
        throw .mismatch(
          "\(tensor.name) is no parameter of a linear recurrent unit (\(names.sorted().joined(separator: ", "))): "
            + "leaving it out would be another unit"
        )
      }
      others.append(tensor.name)
    }
    return others
  }

  private static func check(
    _ skip: StateSpaceArray?,
    _ layer: String,
    inputs: Int,
    outputs: Int
  ) throws(TesseraError) {
    guard let skip else { return }
    let isVector = [[inputs], [outputs], [1]].contains(skip.shape)
    guard !skip.isComplex, isVector || skip.shape == [outputs, inputs] else {
      throw .mismatch(
        "\(layer)D has the shape \(skip.storedShape), and there are \(inputs) inputs and \(outputs) outputs"
      )
    }
  }

  /// What stands before the names of a layer; of the only one where none is wanted.
  private static func layer(
    _ prefix: String?,
    of reader: any CheckpointReader
  ) throws(TesseraError) -> String {
    let found = reader.tensors.map(\.name).filter { $0.hasSuffix("nu_log") }.map {
      String($0.dropLast("nu_log".count))
    }
    let wanted = prefix.map { $0.isEmpty || $0.hasSuffix(".") ? $0 : $0 + "." }
    guard let layer = wanted ?? (found.count == 1 ? found[0] : nil), found.contains(layer) else {
      throw .mismatch(
        "\(found.count) layers with nu_log (\(found.prefix(4).joined(separator: ", "))); "
          + (found.isEmpty ? "no linear recurrent unit" : "name one with --layer")
      )
    }
    return layer
  }

  /// Reads a system that ``discrete`` or ``continuous(step:)`` has written.
  ///
  /// - Throws: `TesseraError` where arrays or the step are missing.
  package init(_ file: StateSpaceFile) throws {
    guard let c = file.arrays["C"], c.isComplex, c.shape.count == 2 else {
      throw TesseraError.mismatch("holds no complex C of outputs and states")
    }
    let used: Set =
      file.arrays["A_bar"] == nil ? ["Lambda", "B", "C", "D"] : ["A_bar", "B_bar", "C", "D"]
    let unused = file.unused(besides: used)
    guard unused.isEmpty else {
      throw TesseraError.mismatch(
        "\(unused.joined(separator: ", ")) beside \(used.sorted().joined(separator: ", ")): no system that 'ssm "
          + "convert --to lru-…' writes"
      )
    }
    others = []
    func matrix(_ name: String) throws -> [ComplexNumber] {
      guard let b = file.arrays[name], b.isComplex, b.shape.count == 2, b.shape[0] == c.shape[1]
      else { throw TesseraError.mismatch("holds no complex \(name) of states and inputs") }
      return b.complexValues
    }
    if let stored = file.arrays["A_bar"] {
      (values, input) = (stored.complexValues, try matrix("B_bar"))
    } else if let stored = file.arrays["Lambda"] {
      guard let step = file.metadata[StateSpaceFile.Key.step].flatMap({ Double($0) }) else {
        throw TesseraError.mismatch("the metadata have no \(StateSpaceFile.Key.step)")
      }
      try StepLengths.one(step).check()
      let continuous = try matrix("B")
      let width = continuous.count / max(c.shape[1], 1)
      values = stored.complexValues.map { (step * $0).exponential }
      input = continuous.indices.map { index in
        let rate = stored.complexValues[index / max(width, 1)]
        return step * (continuous[index] * (step * rate).firstPhi)
      }
    } else {
      throw TesseraError.mismatch("holds neither A_bar nor Lambda")
    }
    guard values.count == c.shape[1],
      (file.arrays["A_bar"] ?? file.arrays["Lambda"])?.shape == [values.count]
    else {
      throw TesseraError.mismatch("C is of \(c.shape[1]) states, and there are \(values.count)")
    }
    output = c
    skip = file.arrays["D"]
    try Self.check(
      skip,
      "",
      inputs: input.count / max(values.count, 1),
      outputs: c.shape[0]
    )
  }

  /// The system as it is stepped: x' = A_bar x + B_bar u, y = Re(C x) + D u.
  package var discrete: StateSpaceFile {
    var file = StateSpaceFile(arrays: ["C": output], metadata: [:])
    file.arrays["D"] = skip
    file.arrays["A_bar"] = StateSpaceArray(values, shape: [states])
    file.arrays["B_bar"] = StateSpaceArray(input, shape: [states, inputs])
    file.unused = others
    file.metadata["tessera.ssm.lru"] =
      "discrete; y = Re(C x) + D u, every state stored, no factor 2"
    return file
  }

  /// A continuous system that has these samples at a step, under the zero-order hold.
  ///
  /// - Throws: `TesseraError` where the step is none, or an angle of λ reaches π: the frequency
  ///   would be another one's alias.
  package func continuous(step: Double) throws -> StateSpaceFile {
    try StepLengths.one(step).check()
    let rates = try values.enumerated().map { index, value in
      let (size, angle) = (value.magnitude, atan2(value.imaginary, value.real))
      guard size > 0, abs(angle) < Double.pi * (1 - 0x1p-40), size != 1 || angle != 0 else {
        throw TesseraError.limit(
          "lambda[\(index)] has the magnitude \(size) and the angle \(angle): no frequency below half the "
            + "sampling rate has it"
        )
      }
      return ComplexNumber(log(size) / step, angle / step)
    }
    var file = StateSpaceFile(arrays: ["C": output], metadata: [:])
    file.arrays["D"] = skip
    file.arrays["Lambda"] = StateSpaceArray(rates, shape: [states])
    file.arrays["B"] = StateSpaceArray(
      input.indices.map { index in
        let rate = rates[index / max(inputs, 1)]
        return input[index] / (step * (step * rate).firstPhi)
      },
      shape: [states, inputs]
    )
    file.unused = others
    file.metadata["tessera.ssm.lru"] =
      "continuous, zoh at the step; y = Re(C x) + D u, every state stored, no factor 2"
    file.metadata[StateSpaceFile.Key.step] = "\(step)"
    return file
  }

  /// The parameters: gamma_log = log sqrt(1 - |λ|²), as at initialisation, and B divided by it.
  ///
  /// - Throws: `TesseraError` where a state does not decay, or does not turn: theta_log would be no
  ///   number.
  package func parameters() throws -> StateSpaceFile {
    var (nu, theta, gamma): ([Double], [Double], [Double]) = ([], [], [])
    for (index, value) in values.enumerated() {
      let size = value.magnitude
      var angle = atan2(value.imaginary, value.real)
      // The angle is e^theta_log, above 0: those below are whole turns further on.
      if angle < 0 { angle += 2 * Double.pi }
      guard size > 0, size < 1, angle > 0 else {
        throw TesseraError.limit(
          "lambda[\(index)] has the magnitude \(size) and the angle \(angle): nu_log and theta_log would not "
            + "be finite"
        )
      }
      nu.append(log(-log(size)))
      theta.append(log(angle))
      gamma.append(log1p(-size * size) / 2)
    }
    let scaled = input.indices.map { exp(-gamma[$0 / max(inputs, 1)]) * input[$0] }
    var file = StateSpaceFile(arrays: [:], metadata: [:])
    file.arrays["nu_log"] = StateSpaceArray(nu, shape: [states])
    file.arrays["theta_log"] = StateSpaceArray(theta, shape: [states])
    file.arrays["gamma_log"] = StateSpaceArray(gamma, shape: [states])
    file.arrays["B_re"] = StateSpaceArray(scaled.map(\.real), shape: [states, inputs])
    file.arrays["B_im"] = StateSpaceArray(scaled.map(\.imaginary), shape: [states, inputs])
    file.arrays["C_re"] = StateSpaceArray(output.complexValues.map(\.real), shape: output.shape)
    file.arrays["C_im"] = StateSpaceArray(
      output.complexValues.map(\.imaginary),
      shape: output.shape
    )
    file.arrays["D"] = skip
    return file
  }
}
