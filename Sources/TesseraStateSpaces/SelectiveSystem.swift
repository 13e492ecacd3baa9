import Foundation
package import TesseraCheckpoints
import TesseraCore

/// What of a selective state space (Mamba) can be exported, and a fixed-step approximation of the rest.
///
/// Mamba's layers compute dt, B and C from their input (Gu and Dao, arXiv 2312.00752): Ā = exp(dt A) and
/// B̄ = dt B are others at each sample, and no file holds them. A is fixed. At one dt the layer would be
/// linear in time: that approximation is labelled with its dt.
package struct SelectiveSystem: Sendable {
  /// The step of the approximation.
  package enum Step: Sendable, Hashable {
    /// softplus of the stored bias of dt: the step of an input that projects to 0, one per channel.
    case bias
    /// The same for all channels.
    case fixed(Double)
  }

  private let reader: any CheckpointReader
  private let layers: [SelectiveLayer]

  /// Finds the layers: `A_log` of mamba_ssm and transformers, `ssm_a` (A itself) of GGUF, in every direction.
  ///
  /// - Throws: `TesseraError` where there is none, or one holds an A under an unknown name.
  package init(of reader: any CheckpointReader) throws {
    self.reader = reader
    layers = try SelectiveLayer.all(of: reader.tensors)
    guard !layers.isEmpty else {
      throw TesseraError.mismatch(
        "0 layers with A_log (mamba_ssm, transformers) or ssm_a (GGUF): no checkpoint of Mamba"
      )
    }
  }

  /// `<layer>.A` of every layer, and with a step `<layer>.dt`, `.A_bar` = exp(dt A) and `.B_bar` = dt,
  /// the factor of the input's own B.
  ///
  /// Further directions have a suffix, as `A_b` and `dt_b`.
  ///
  /// - Parameter step: Where to take dt from; nil exports A alone.
  /// - Returns: A file of these arrays, labelled, with what else the layers hold in `unused`.
  /// - Throws: `TesseraError` where dt is not positive or missing, or A is not finite.
  package func file(step: Step?) throws -> StateSpaceFile {
    var file = StateSpaceFile(arrays: [:], metadata: [:])
    for layer in layers {
      for direction in layer.directions { try add(direction, of: layer, step, to: &file) }
    }
    file.unused = unused(step)
    file.metadata["tessera.ssm.selective"] =
      "Mamba computes dt, B and C from its input: A is exact, and no file holds A_bar or B_bar"
    if let step {
      let label =
        step == .bias ? "dt = softplus(bias), the step of an input that projects to 0" : "dt fixed"
      file.metadata["tessera.ssm.approximation"] =
        "\(label); A_bar = exp(dt A) (zoh), B_bar = dt is the factor of the input's B (Euler, as Mamba's code)"
      if case .fixed(let value) = step { file.metadata[StateSpaceFile.Key.step] = "\(value)" }
    }
    return file
  }

  private func add(
    _ direction: SelectiveLayer.Direction,
    of layer: SelectiveLayer,
    _ step: Step?,
    to file: inout StateSpaceFile
  ) throws {
    let stored = try StateSpaceFile.array(direction.decay, of: reader, isComplex: false)
    guard 1...2 ~= stored.shape.count, !stored.isComplex else {
      throw TesseraError.mismatch(
        "\(direction.decay.name) has the shape \(stored.storedShape), and [channels, states] or [heads] was expected"
      )
    }
    let isLogarithm = !direction.decay.name.hasSuffix("ssm_a")
    let values = isLogarithm ? stored.values.map { -exp($0) } : stored.values
    let prefix = layer.name.isEmpty ? "" : layer.name + "."
    // Mamba-2 in GGUF has [heads, 1]; its A is one number per head.
    file.arrays["\(prefix)A\(direction.suffix)"] = StateSpaceArray(values, shape: stored.shape)
    guard let step else { return }
    let rows = stored.shape[0]
    let steps = try self.steps(step, of: direction, count: rows)
    let columns = values.count / max(rows, 1)
    file.arrays["\(prefix)dt\(direction.suffix)"] = StateSpaceArray(steps, shape: [rows])
    file.arrays["\(prefix)A_bar\(direction.suffix)"] = StateSpaceArray(
      values.indices.map { exp(steps[$0 / max(columns, 1)] * values[$0]) },
      shape: stored.shape
    )
    file.arrays["\(prefix)B_bar\(direction.suffix)"] = StateSpaceArray(steps, shape: [rows])
  }

  /// What the layers hold beside what was used: each name once, and how many layers have it.
  private func unused(_ step: Step?) -> [String] {
    var counts: [String: Int] = [:]
    for layer in layers {
      let start = layer.name.isEmpty ? 0 : layer.name.count + 1
      let biases =
        step == .bias
        ? [] : layer.directions.compactMap(\.bias).map { String($0.name.dropFirst(start)) }
      for name in layer.others + biases { counts[name, default: 0] += 1 }
    }
    if layers.count == 1 {
      let prefix = layers[0].name.isEmpty ? "" : layers[0].name + "."
      return counts.keys.sorted().map { prefix + $0 }
    }
    return counts.sorted { $0.key < $1.key }.map { "\($0.key) of \($0.value) layers" }
  }

  private func steps(
    _ step: Step,
    of direction: SelectiveLayer.Direction,
    count: Int
  ) throws -> [Double] {
    switch step {
    case .fixed(let value):
      try StepLengths.one(value).check()
      return [Double](repeating: value, count: count)
    case .bias:
      guard let bias = direction.bias else {
        throw TesseraError.mismatch(
          "\(direction.decay.name): no bias of dt (dt_proj\(direction.suffix).bias, dt\(direction.suffix)_bias) "
            + "beside it; say --dt"
        )
      }
      let array = try StateSpaceFile.array(bias, of: reader, isComplex: false)
      let values = array.values
      guard array.storedShape == [count] else {
        throw TesseraError.mismatch(
          "\(bias.name) has the shape \(array.storedShape), and A has \(count) channels"
        )
      }
      // log(1 + e^x) without overflow.
      let steps = values.map { max($0, 0) + log1p(exp(-abs($0))) }
      try StepLengths.channels(steps).check()
      return steps
    }
  }
}
