package import TesseraCheckpoints
package import TesseraCore

/// The tensors of a checkpoint that are codes: numbers only together with scales that stand beside them.
///
/// Known by their names and types: FP8 with scales (DeepSeek, Qwen, FBGEMM, ModelOpt, ComfyUI), int8 and int4 of
/// compressed-tensors, GPTQ, AWQ, bitsandbytes, HQQ, EXL2, EXL3, AQLM, QuIP#, quanto, torchao, MLX, MXFP4 and NVFP4,
/// ONNX' quantized initializers and Keras' quantized layers; and by what `config.json` states. A
/// float8 tensor without any scale is a plain one.
package struct QuantizedWeights: Sendable {
  /// A tensor of codes.
  struct Code: Sendable, Hashable {
    let name: String
    let scheme: String
    /// What its numbers depend on: scales, zeros, maps.
    let companions: [String]
  }

  /// The codes, in the checkpoint's order.
  let codes: [Code]
  /// The scheme that the settings beside the checkpoint state.
  let stated: String?

  /// Whether there are codes, or settings that say so.
  package var isEmpty: Bool { codes.isEmpty && stated == nil }

  /// Looks for codes.
  ///
  /// - Parameters:
  ///   - checkpoint: The checkpoint.
  ///   - configuration: The text of the `config.json` beside it, if there is one.
  package init(in checkpoint: any CheckpointReader, configuration: String? = nil) {
    let names = QuantizedNames(checkpoint.tensors)
    let isKeras = checkpoint.format.hasPrefix("keras")
    codes = checkpoint.tensors.compactMap { tensor in
      names.code(tensor) ?? (isKeras ? names.kerasCode(tensor) : nil)
    }
    stated =
      QuantizedWeights.scheme(configuration: configuration)
      ?? QuantizedWeights.scheme(metadata: checkpoint)
      ?? (checkpoint as? HDF5Checkpoint).flatMap(QuantizedWeights.kerasScheme)
  }

  /// The scheme that a `config.json` states, also for a part of the model.
  private static func scheme(configuration: String?) -> String? {
    guard let text = configuration, text.contains("quant") || text.contains("compression_config"),
      let json = try? JSONValue(parsing: text)
    else { return nil }
    let parts = [json] + (json.object ?? [:]).filter { $0.key.hasSuffix("_config") }.map(\.value)
    for part in parts {
      for key in ["quantization_config", "compression_config", "quantization"] {
        guard let values = part[key]?.object, !values.isEmpty else { continue }
        let method = ["quant_method", "quant_algo", "quant_type", "format"].lazy
          .compactMap { values[$0]?.string }.first
        return "\(key) \(method ?? "of config.json")"
      }
    }
    return nil
  }

  /// ComfyUI and torchao say it in the file's own strings.
  private static func scheme(metadata checkpoint: any CheckpointReader) -> String? {
    guard checkpoint.format == "safetensors" else { return nil }
    let keys = checkpoint.attributes.keys.sorted()
    let key = keys.first { $0.lowercased().contains("quantiz") && !$0.hasPrefix("tessera.") }
    return key.map { "'\($0)' in the file's metadata" }
  }

  private static func kerasScheme(_ checkpoint: HDF5Checkpoint) -> String? {
    guard let text = checkpoint.modelConfiguration else { return nil }
    let policies = ["QuantizedDTypePolicy", "QuantizedFloat8DTypePolicy", "GPTQDTypePolicy"]
    return policies.first { text.contains("\"\($0)\"") }.map { "Keras' \($0)" }
  }
}

extension QuantizedWeights {
  /// Refuses a selection that leaves out what the selected codes depend on.
  ///
  /// - Parameter dropped: What is left out.
  /// - Throws: `TesseraError` naming the codes.
  package func check(dropped: [DroppedTensor]) throws(TesseraError) {
    let left = Set(dropped.map(\.name))
    for code in codes where !left.contains(code.name) {
      guard let lost = code.companions.first(where: left.contains) else { continue }
      let cause = "\(code.scheme) codes, which are numbers only with '\(lost)'; that is left out"
      throw TesseraError.mismatch(cause, place: code.name)
    }
  }

  /// Refuses a plan that does anything to codes, or to what they depend on, but copy them.
  ///
  /// - Parameters:
  ///   - plan: The plan for this checkpoint.
  ///   - blocks: Results that are stored as blocks of another quantization.
  /// - Throws: `TesseraError` naming the tensor and the scheme.
  package func check(_ plan: ConversionPlan, blocks: Set<String> = []) throws(TesseraError) {
    guard !isEmpty else { return }
    try check(dropped: plan.dropped)
    var owners: [String: Code] = [:]
    for code in codes {
      owners[code.name] = code
      for companion in code.companions where owners[companion] == nil { owners[companion] = code }
    }
    var renamed: [String: String] = [:]
    for output in plan.outputs {
      let isChanged = !output.operations.isEmpty || blocks.contains(output.tensor.name)
      for source in output.sources {
        renamed[source] = output.tensor.name
        guard isChanged else { continue }
        if let code = owners[source] { throw refusal(code, source) }
        // Settings alone do not say which tensors they mean.
        if codes.isEmpty { throw refusal(nil, source) }
      }
    }
    for code in codes {
      guard let name = renamed[code.name], name != code.name else { continue }
      let place = QuantizedNames.parent(of: name)
      for companion in code.companions where renamed[companion] != nil {
        let other = renamed[companion] ?? ""
        if QuantizedNames.parent(of: other) != place, !other.hasPrefix(name) {
          throw refusal(code, code.name)
        }
      }
    }
  }

  /// Refuses any arithmetic on the checkpoint.
  func checkComputing() throws(TesseraError) {
    if let code = codes.first { throw refusal(code, code.name) }
  }

  /// Refuses layouts that have no place for codes.
  package func checkLayout() throws(TesseraError) {
    if let code = codes.first { throw refusal(code, code.name) }
    if stated != nil { throw refusal(nil, "the model") }
  }

  private func refusal(_ code: Code?, _ tensor: String) -> TesseraError {
    let scheme = code?.scheme ?? stated ?? ""
    let scales = code?.companions.first.map { " (scaled by '\($0)')" } ?? ""
    let what = tensor == code?.name ? "\(scheme) codes\(scales)" : "belongs to codes of \(scheme)"
    return TesseraError.mismatch(
      "\(what): casting, merging or reordering them gives other numbers; dequantize the model "
        + "with the library that made it, or copy it as it is (no --dtype, no layout, no adapter)",
      place: tensor
    )
  }
}
