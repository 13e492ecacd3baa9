import TesseraCheckpoints
import TesseraCore

/// The weights of a checkpoint that an adapter's modules may name.
///
/// A path with its dots, or with underscores in their place, is looked up in the list of names that the
/// checkpoint has: never turned back by a pattern, since underscores say nothing of where dots were.
struct AdapterTargets {
  private let byPath: [String: TensorInfo]
  private let byUnderscores: [String: [TensorInfo]]

  /// What may stand before a module's path in a checkpoint, or in an adapter, and not in the other.
  private static let wrappers = [
    "model.diffusion_model.", "diffusion_model.", "unet.", "transformer.", "text_encoder.",
    "text_encoder_2.", "text_model.", "cond_stage_model.transformer.", "model.",
  ]

  /// Collects the weights of a checkpoint.
  init(_ checkpoint: any CheckpointReader) {
    var byPath: [String: TensorInfo] = [:]
    var byUnderscores: [String: [TensorInfo]] = [:]
    for tensor in checkpoint.tensors where tensor.shape.rank >= 1 {
      let path = tensor.name.hasSuffix(".weight") ? String(tensor.name.dropLast(7)) : tensor.name
      byPath[path] = tensor
      for spelling in AdapterTargets.unwrapped(path) {
        byUnderscores[spelling.replacing(".", with: "_"), default: []].append(tensor)
      }
    }
    // Adapters for SDXL count a UNet's modules as the original code does.
    let paths = byPath.flatMap { path, tensor in
      AdapterTargets.unwrapped(path).map { (path: $0, tensor: tensor) }
    }
    if let names = LatentDiffusionNames(paths.map(\.path)) {
      for (path, tensor) in paths {
        guard let original = names.name(of: path) else { continue }
        byUnderscores[original.replacing(".", with: "_"), default: []].append(tensor)
      }
    }
    (self.byPath, self.byUnderscores) = (byPath, byUnderscores)
  }

  /// The path itself, and what is left of it behind each wrapper.
  private static func unwrapped(_ path: String) -> [String] {
    [path]
      + wrappers.filter { path.hasPrefix($0) }.map { String(path.dropFirst($0.count)) }
  }

  /// Every weight that a module's path may mean: one, where the adapter fits.
  func weights(of key: AdapterKey) -> [TensorInfo] {
    guard key.naming != .kohya else {
      return Array(Set(byUnderscores[key.module] ?? [])).sorted { $0.name < $1.name }
    }
    let exact = AdapterTargets.unwrapped(key.module).compactMap { byPath[$0] }
    if let first = exact.first { return [first] }
    let wrapped = AdapterTargets.unwrapped(key.module).flatMap { path in
      AdapterTargets.wrappers.compactMap { byPath[$0 + path] }
    }
    return Array(Set(wrapped)).sorted { $0.name < $1.name }
  }
}
