public import TesseraCheckpoints
public import TesseraCore

extension CheckpointReader {
  /// Refuses a checkpoint whose conversion would lose weights, or would hold none.
  ///
  /// - Parameter path: How errors call it.
  /// - Throws: `TesseraError`, which names the first tensor that is not read, or what was found where
  ///   there is no tensor at all: a mismatch, or malformed input where reading would be unsafe.
  public func checkCompleteness(path: String) throws(TesseraError) {
    let refusals = refusals + placeholders
    let isUnsafe = refusals.contains(where: \.isUnsafe)
    if let first = refusals.first(where: \.isUnsafe) ?? refusals.first {
      let others = refusals.count - 1
      let more = others > 0 ? " (and \(others) more: see `tessera inspect`)" : ""
      // A name that is prefix or pattern itself would leave out more.
      let isNamed = !first.name.isEmpty && !first.name.contains { "*?[".contains($0) }
      let advice = isNamed ? "; --strip '\(first.name)*' converts the rest without it" : ""
      throw TesseraError(
        isUnsafe ? .malformedInput : .mismatch,
        first.description + advice + more,
        file: path
      )
    }
    guard tensors.isEmpty else { return }
    let passed = notes.prefix(3).joined(separator: "; ")
    let more = notes.count > 3 ? " (and \(notes.count - 3) more notes: see `tessera inspect`)" : ""
    let found = passed.isEmpty ? "" : "; \(passed)\(more)"
    throw TesseraError.mismatch("holds no tensor that is read (\(format))\(found)", file: path)
  }

  /// Parameters without elements: what DeepSpeed's ZeRO-3 and FSDP leave of a weight that lies on other
  /// machines.
  private var placeholders: [TensorRefusal] {
    tensors.filter { tensor in
      let part = tensor.name.split { $0 == "." || $0 == "/" }.last.map(String.init) ?? ""
      return tensor.shape == [0] && parameterNames.contains(part)
    }.map { tensor in
      TensorRefusal(
        tensor.name,
        "has no elements: a placeholder, as DeepSpeed's ZeRO-3 and FSDP leave one of each parameter "
          + "that lies elsewhere; gather the weights first (zero_to_fp32.py, a full state dict)"
      )
    }
  }
}

/// The last parts of the names of parameters, which are never empty.
private let parameterNames: Set<String> = [
  "weight", "bias", "kernel", "gamma", "beta", "scale", "embedding", "embeddings", "_flat_param",
  "flat_param", "weight_g", "weight_v", "in_proj_weight", "in_proj_bias", "A_log", "D", "dt_bias",
]
