import TesseraCheckpoints
import TesseraCore

/// The tensors of one layer of a selective state space (Mamba), by direction.
///
/// Layers with several directions (Vision Mamba, VideoMamba and their kin) repeat the recurrence's tensors with a
/// suffix: `A_b_log` or `A_log_b`, `dt_proj_b`, `D_b`, `conv1d_b`, `x_proj_b`.
struct SelectiveLayer {
  /// One recurrence of a layer.
  struct Direction {
    /// What its tensors' names have behind A: empty for the first, `_b` for the backward one.
    let suffix: String
    /// log(-A), or A itself in GGUF.
    let decay: TensorInfo
    /// The bias of dt; nil where there is none.
    let bias: TensorInfo?
  }

  /// What stands before the names of the tensors, without the dot; empty at the top.
  let name: String
  /// In the order of the file.
  let directions: [Direction]
  /// The tensors that no result depends on: names without the layer.
  let others: [String]

  /// Finds the layers: `A_log` of mamba_ssm and transformers, `ssm_a` (A itself) of GGUF.
  ///
  /// - Throws: `TesseraError` that names a tensor which decides how a layer decays, under a name unknown here.
  static func all(of tensors: [TensorInfo]) throws(TesseraError) -> [SelectiveLayer] {
    var order: [String] = []
    var members: [String: [TensorInfo]] = [:]
    var decays: [String: [(suffix: String, tensor: TensorInfo)]] = [:]
    for tensor in tensors {
      let (layer, last) = split(tensor.name)
      guard let suffix = suffix(ofDecay: last) else { continue }
      if decays[layer] == nil { order.append(layer) }
      decays[layer, default: []].append((suffix, tensor))
    }
    // Names are looked up, not compared with each layer: there may be many of both.
    for tensor in tensors {
      var path = tensor.name.split(separator: ".", omittingEmptySubsequences: false).dropLast()
      while !path.isEmpty, decays[path.joined(separator: ".")] == nil { path = path.dropLast() }
      let layer = path.joined(separator: ".")
      guard decays[layer] != nil, !layer.isEmpty || !tensor.name.contains(".") else { continue }
      members[layer, default: []].append(tensor)
    }
    var layers: [SelectiveLayer] = []
    for name in order {
      layers.append(try SelectiveLayer(name, decays[name] ?? [], members[name] ?? []))
    }
    return layers
  }

  private init(
    _ name: String,
    _ decays: [(suffix: String, tensor: TensorInfo)],
    _ members: [TensorInfo]
  ) throws(TesseraError) {
    let start = name.isEmpty ? 0 : name.count + 1
    let table = Dictionary(members.map { (String($0.name.dropFirst(start)), $0) }) { one, _ in one }
    var used: Set<String> = []
    directions = decays.map { suffix, tensor in
      used.insert(String(tensor.name.dropFirst(start)))
      let names =
        tensor.name.hasSuffix("ssm_a")
        ? ["ssm_dt.bias"] : ["dt_proj\(suffix).bias", "dt\(suffix)_bias", "dt_bias\(suffix)"]
      let bias = names.first { table[$0] != nil }
      if let bias { used.insert(bias) }
      return Direction(suffix: suffix, decay: tensor, bias: bias.flatMap { table[$0] })
    }
    self.name = name
    others = table.keys.filter { !used.contains($0) }.sorted()
    let suffixes = decays.map(\.suffix)
    guard Set(suffixes).count == suffixes.count else {
      throw .mismatch("\(name): two tensors state one direction's A")
    }
    for other in others where decides(other) {
      throw .mismatch(
        "\(name.isEmpty ? "" : name + ".")\(other) belongs to a recurrence of this layer whose A is not here under a "
          + "known name (A_log, A_b_log, A_log_b, ssm_a): leaving it out would be another layer"
      )
    }
  }

  /// Whether a tensor says how a recurrence decays or steps: an A, or a bias of dt.
  private func decides(_ name: String) -> Bool {
    let first = name.split(separator: ".").first.map(String.init) ?? name
    return first == "A" || first == "As" || first.hasPrefix("A_") || first.hasPrefix("ssm_a_")
      || first.hasPrefix("ssm_A") || (first.hasPrefix("dt") && name.hasSuffix("bias"))
      || first.hasPrefix("dt_bias")
  }

  private static func split(_ name: String) -> (layer: String, last: String) {
    guard let dot = name.lastIndex(of: ".") else { return ("", name) }
    return (String(name[..<dot]), String(name[name.index(after: dot)...]))
  }

  /// The direction of a tensor that holds a decay; nil where it holds none.
  private static func suffix(ofDecay name: String) -> String? {
    if name == "A_log" || name == "ssm_a" { return "" }
    guard name.hasPrefix("A_") else { return nil }
    let middle =
      name.hasSuffix("_log")
      ? name.dropFirst(2).dropLast(4) : name.hasPrefix("A_log_") ? name.dropFirst(6) : ""
    guard !middle.isEmpty, middle.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) }) else {
      return nil
    }
    return "_\(middle)"
  }
}
