import Foundation
public import Readers

/// What of a selective state space (Mamba) can be exported, and a fixed-step approximation of the rest.
///
/// Mamba's layers compute dt, B and C from their input (Gu and Dao, arXiv 2312.00752): Ā = exp(dt A) and
/// B̄ = dt B are others at each sample, and no file holds them. A is fixed. At one dt the layer would be
/// linear in time: that approximation is labelled with its dt.
public struct SelectiveSystem: Sendable {
  /// The step of the approximation.
  public enum Step: Sendable, Hashable {
    /// softplus of the stored bias of dt: the step of an input that projects to 0, one a channel.
    case bias
    /// The same for all channels.
    case fixed(Double)
  }

  private let reader: any CheckpointReader
  private let layers: [(name: String, decay: TensorInfo, bias: TensorInfo?)]

  /// The sizes of state spaces are small; what is larger is no Mamba.
  private static let elementLimit = 1 << 27

  /// Finds the layers: `A_log` of mamba_ssm and transformers, `ssm_a` (A itself) of GGUF.
  ///
  /// - Throws: `StateSpaceError` where there is none.
  public init(of reader: any CheckpointReader) throws {
    self.reader = reader
    let table = Dictionary(reader.tensors.map { ($0.name, $0) }) { first, _ in first }
    layers = reader.tensors.compactMap { tensor in
      if tensor.name.hasSuffix(".A_log") {
        let name = String(tensor.name.dropLast(".A_log".count))
        return (name, tensor, table["\(name).dt_proj.bias"] ?? table["\(name).dt_bias"])
      }
      guard tensor.name.hasSuffix(".ssm_a") else { return nil }
      let name = String(tensor.name.dropLast(".ssm_a".count))
      return (name, tensor, table["\(name).ssm_dt.bias"])
    }
    guard !layers.isEmpty else {
      throw StateSpaceError.mismatch(
        "0 layers with A_log (mamba_ssm, transformers) or ssm_a (GGUF): no checkpoint of Mamba"
      )
    }
  }

  /// The number of layers.
  public var layerCount: Int { layers.count }

  /// `<layer>.A` of every layer, and with a step `<layer>.dt`, `.A_bar` = exp(dt A) and `.B_bar` = dt,
  /// the factor of the input's own B.
  ///
  /// - Parameter step: Where to take dt from; nil exports A alone.
  /// - Returns: A file of these arrays, labelled.
  /// - Throws: `StateSpaceError` where dt is not positive or missing, or A is not finite.
  public func file(step: Step?) throws -> StateSpaceFile {
    var file = StateSpaceFile(arrays: [:], metadata: [:])
    for layer in layers {
      let stored = try StateSpaceFile.array(layer.decay, of: reader, isComplex: false)
      let isLogarithm = layer.decay.name.hasSuffix(".A_log")
      let values = isLogarithm ? stored.values.map { -exp($0) } : stored.values
      // Mamba-2 in GGUF has [heads, 1]; its A is one number a head.
      file.arrays["\(layer.name).A"] = StateSpaceArray(values, shape: stored.shape)
      guard let step else { continue }
      let rows = stored.shape.first ?? 1
      let steps = try self.steps(step, of: layer.name, bias: layer.bias, count: rows)
      let columns = values.count / max(rows, 1)
      file.arrays["\(layer.name).dt"] = StateSpaceArray(steps, shape: [rows])
      file.arrays["\(layer.name).A_bar"] = StateSpaceArray(
        values.indices.map { exp(steps[$0 / max(columns, 1)] * values[$0]) },
        shape: stored.shape
      )
      file.arrays["\(layer.name).B_bar"] = StateSpaceArray(steps, shape: [rows])
    }
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

  private func steps(
    _ step: Step,
    of layer: String,
    bias: TensorInfo?,
    count: Int
  ) throws -> [Double] {
    switch step {
    case .fixed(let value):
      try StepLengths.one(value).check()
      return [Double](repeating: value, count: count)
    case .bias:
      guard let bias else {
        throw StateSpaceError.mismatch("\(layer): no bias of dt (dt_proj.bias, dt_bias); say --dt")
      }
      let values = try StateSpaceFile.array(bias, of: reader, isComplex: false).values
      guard values.count == count else {
        throw StateSpaceError.mismatch(
          "\(bias.name): \(values.count) values for \(count) channels of A"
        )
      }
      // log(1 + e^x) without overflow.
      let steps = values.map { max($0, 0) + log1p(exp(-abs($0))) }
      try StepLengths.channels(steps).check()
      return steps
    }
  }
}
