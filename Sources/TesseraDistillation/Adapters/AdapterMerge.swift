package import TesseraCheckpoints
import TesseraCore
package import TesseraRules

/// A LoRA, DoRA, LoHa or LoKr adapter merged into the weights that it was trained for.
///
/// W' = W + strength · scale · ΔW, in float32 and rounded once to the weight's own type; with DoRA
/// (arXiv 2402.09353), each row of W' is brought to its stored norm. The results are those of peft's
/// `merge_and_unload`. Every tensor of the adapter is used, or there is an error.
package struct AdapterMerge: Sendable {
  /// What was merged into one weight.
  package struct Module: Sendable, Hashable, Encodable {
    /// The weight's name.
    package let tensor: String
    /// The adapter's rank; nil where its parts fix none.
    package let rank: Int?
    /// What ΔW was multiplied by, the user's strength included.
    package let scale: Double
    /// The Frobenius norm of the scaled ΔW, before a DoRA's norms.
    package let deltaNorm: Double

    private enum CodingKeys: String, CodingKey {
      case tensor, rank, scale
      case deltaNorm = "delta_norm"
    }
  }

  /// The checkpoint with the merged weights.
  package let checkpoint: ComputedCheckpoint
  /// What was merged, in the order of the weights' names.
  package let modules: [Module]

  /// Merges an adapter; the weights are computed when they are read.
  ///
  /// - Parameters:
  ///   - path: The adapter: a file, or a folder with peft's `adapter_config.json`.
  ///   - strength: The user's factor, 1 for the adapter as it was trained.
  ///   - component: Which model's modules to merge of an adapter for several, such as `unet` or `te2`;
  ///     nil where all of them are this checkpoint's.
  ///   - base: The checkpoint that holds the weights.
  /// - Throws: `TesseraError` where a tensor is no part of an adapter, matches no weight or several,
  ///   or where nothing says what the change is scaled by; what readers throw.
  package init(
    of path: String,
    strength: Double = 1,
    component: String? = nil,
    into base: any CheckpointReader
  ) throws {
    let file = try Checkpoint.file(of: path)
    let adapter = try Checkpoint.open(file)
    let beside = try AdapterConfiguration.beside(file)
    let packed = beside == nil ? try AdapterConfiguration.packed(in: adapter, path: file) : [:]
    let all = try AdapterMerge.modules(of: adapter, path: file)
    let chosen = try AdapterMerge.modules(of: component, among: all, path: file)
    guard !chosen.isEmpty else {
      throw TesseraError.mismatch("holds no LoRA, LoHa or LoKr", file: file)
    }
    var computed: [ComputedTensor] = []
    var modules: [Module] = []
    for (module, weight) in try AdapterMerge.pairs(of: chosen, base) {
      let own = module.key.component.flatMap { packed[$0] }
      let change = try AdapterChange(
        module,
        of: adapter,
        on: weight,
        beside ?? own ?? (packed.count == 1 ? packed.values.first : nil),
        strength: strength
      )
      computed.append(change.tensor(on: weight, of: base))
      modules.append(try Module(module, change, on: weight))
    }
    self.modules = modules.sorted { $0.tensor < $1.tensor }
    let name = String(file.split(separator: "/").last ?? "")
    checkpoint = try ComputedCheckpoint(
      base,
      computing: computed,
      files: adapter.files,
      attributes: ["tessera.lora": "\(name):\(strength)"],
      notes: ["merged \(modules.count) modules of \(name), strength \(strength)"]
        + (all.count > chosen.count
          ? ["\(all.count - chosen.count) modules of \(name) are of other models' files"] : [])
    )
  }

  /// The adapter's tensors as modules, in the order of their names.
  private static func modules(
    of adapter: any CheckpointReader,
    path: String
  ) throws(TesseraError) -> [AdapterModule] {
    var modules: [String: AdapterModule] = [:]
    for tensor in adapter.tensors {
      guard let key = AdapterKey(tensor.name) else {
        let cause =
          "is no part of a LoRA, DoRA, LoHa or LoKr (a whole module, a trained bias, rows of an embedding?); "
          + "merge with the library that made it, such as peft's merge_and_unload, and convert that"
        throw TesseraError.mismatch(cause, file: path, place: "'\(tensor.name)'")
      }
      let name = "\(key.naming) \(key.module)"
      var module = modules[name] ?? AdapterModule(key: key, path: path)
      guard module.parts.updateValue(tensor, forKey: key.part) == nil else {
        throw TesseraError.mismatch(
          "stands there under two names",
          file: path,
          place: "'\(tensor.name)'"
        )
      }
      modules[name] = module
    }
    return modules.sorted { $0.key < $1.key }.map(\.value)
  }

  /// The modules of one model; all where none is named.
  private static func modules(
    of component: String?,
    among modules: [AdapterModule],
    path: String
  ) throws(TesseraError) -> [AdapterModule] {
    guard let component else { return modules }
    let chosen = modules.filter { $0.key.belongs(to: component) }
    guard chosen.isEmpty else { return chosen }
    let present = Set(modules.compactMap(\.key.component)).sorted().joined(separator: ", ")
    let cause = "changes nothing of '\(component)'; it says it changes: \(present)"
    throw TesseraError.mismatch(cause, file: path)
  }

  /// Each module with the weight that it alone means.
  private static func pairs(
    of modules: [AdapterModule],
    _ base: any CheckpointReader
  ) throws(TesseraError) -> [(AdapterModule, TensorInfo)] {
    let targets = AdapterTargets(base)
    var used: [String: String] = [:]
    var pairs: [(AdapterModule, TensorInfo)] = []
    for module in modules {
      let weight = try weight(of: module, among: targets, base)
      if let other = used.updateValue(module.key.module, forKey: weight.name) {
        throw module.failure("changes '\(weight.name)', and so does '\(other)'")
      }
      pairs.append((module, weight))
    }
    return pairs
  }

  /// The one weight that a module means.
  private static func weight(
    of module: AdapterModule,
    among targets: AdapterTargets,
    _ base: any CheckpointReader
  ) throws(TesseraError) -> TensorInfo {
    let weights = targets.weights(of: module.key)
    switch weights.count {
    case 1: return weights[0]
    case 0:
      let isOriginal = base.tensors.contains { $0.name.contains("diffusion_model.input_blocks.") }
      if isOriginal,
        ["down_blocks", "mid_block", "up_blocks"].contains(where: module.key.module.hasPrefix)
      {
        throw module.failure(
          "is named as diffusers names a UNet's modules, and the checkpoint has the original's names "
            + "(input_blocks, …): merge into the UNet of the diffusers folder of this model"
        )
      }
      let example = base.tensors.first { $0.shape.rank >= 2 }?.name ?? "none"
      throw module.failure(
        "matches no weight of the checkpoint (which has names such as '\(example)'); "
          + "of an adapter for several models, --lora-part takes one's"
      )
    default:
      let names = weights.prefix(3).map(\.name).joined(separator: ", ")
      throw module.failure("may mean any of \(weights.count) weights: \(names)")
    }
  }
}

extension AdapterMerge.Module {
  /// What a change does to a weight.
  fileprivate init(
    _ module: AdapterModule,
    _ change: AdapterChange,
    on weight: TensorInfo
  ) throws(TesseraError) {
    let norm = abs(change.scale) * change.delta.squareSum.squareRoot()
    guard norm.isFinite else {
      throw module.failure("its change has the norm \(norm)", kind: .numericLimit)
    }
    self.init(tensor: weight.name, rank: change.rank, scale: change.scale, deltaNorm: norm)
  }
}
