internal import Foundation
import TesseraCheckpoints
internal import TesseraCore

extension FamilyTensors {
  /// Brings what checkpoints store in other forms into the graphs' form.
  mutating func arrange(_ family: FamilyEntry) {
    for name in entries.keys.sorted() {
      guard let entry = entries[name] else { continue }
      if case .multiScale = family.quantizer { splitAttention(name, entry) }
      if family.architecture == .vqVAE { joinWeightNorm(name, entry) }
      makePointwise(name, entry)
    }
    switch family.architecture {
    case .autoencoder(let traits):
      if traits.addsOwnResult { addIdentities() }
      if traits.hasTime { foldTime() }
    case .dVAE: applyGains()
    case .vqVAE, .finiteScalar: break
    }
  }

  /// One tensor of queries, keys and values (VAR) is three.
  private mutating func splitAttention(_ name: String, _ entry: Entry) {
    let parts = name.components(separatedBy: ".qkv.")
    guard parts.count == 2, entry.shape.rank > 0, entry.shape[0].isMultiple(of: 3) else { return }
    for other in ["weight", "bias"] where entries["\(parts[0]).qkv.\(other)"] == nil {
      // The first of the two has been split when the second is met.
      if entries["\(parts[0]).q.\(other)"] == nil {
        miss("\(parts[0]).qkv.\(other)", "it belongs to \(parts[1])")
      }
    }
    let rows = entry.shape[0] / 3
    entries[name] = nil
    for (index, part) in ["q", "k", "v"].enumerated() {
      let shape = Shape([rows] + entry.shape.dimensions.dropFirst())
      entries["\(parts[0]).\(part).\(parts[1])"] = Entry(
        recipe: .rows(entry.recipe, index * rows..<(index + 1) * rows),
        shape: shape
      )
    }
  }

  /// weight_g and weight_v are a weight.
  private mutating func joinWeightNorm(_ name: String, _ entry: Entry) {
    for (ending, other) in [("_v", "_g"), ("_g", "_v")] where name.hasSuffix(".weight\(ending)") {
      let lost = "\(name.dropLast(2))\(other)"
      if entries[lost] == nil { miss(lost, "a weight is weight_g and weight_v") }
    }
    guard name.hasSuffix(".weight_v"), case .stored(let direction) = entry.recipe else { return }
    let base = name.dropLast("_v".count)
    guard let magnitude = entries["\(base)_g"], case .stored(let stored) = magnitude.recipe,
      entry.shape.rank > 0, magnitude.shape.elementCount == entry.shape[0]
    else { return }
    entries[name] = nil
    entries["\(base)_g"] = nil
    entries[String(base)] = Entry(
      recipe: .weightNormalized(magnitude: stored, direction: direction),
      shape: entry.shape
    )
  }

  /// Linear layers over channels are 1x1 convolutions.
  private mutating func makePointwise(_ name: String, _ entry: Entry) {
    guard entry.shape.rank == 2, name.hasSuffix(".weight"),
      [".q.", ".k.", ".v.", ".proj_out.", ".gamma.", ".beta."].contains(where: name.contains)
    else { return }
    let shape: Shape = [entry.shape[0], entry.shape[1], 1, 1]
    entries[name] = Entry(recipe: .reshaped(entry.recipe, shape), shape: shape)
  }

  /// A block that adds a shortcut of its own result is that shortcut plus the identity.
  private mutating func addIdentities() {
    for (name, entry) in entries where name.hasSuffix(".nin_shortcut.weight") {
      guard entry.shape.rank == 4, entry.shape[0] == entry.shape[1], entry.shape[2] == 1 else {
        continue
      }
      entries[name] = Entry(recipe: .plusIdentity(entry.recipe), shape: entry.shape)
    }
  }

  /// The gain of a dVAE's blocks, 1 / blocks^2, goes into their last convolutions.
  private mutating func applyGains() {
    let last = entries.keys.filter { $0.contains(".res_path.path.conv_4.") }
    let blocks = last.count { $0.hasSuffix(".weight") }
    guard blocks > 0 else { return }
    let gain = Float(1 / Double(blocks * blocks))
    for name in last {
      guard let entry = entries[name] else { continue }
      entries[name] = Entry(recipe: .multiplied(entry.recipe, by: gain), shape: entry.shape)
    }
  }

  /// More than any network's channels: beyond it tensors stay as they are, and the graphs refuse them.
  private static let largestExtent = 1 << 16

  /// Emu3's convolutions over the four equal frames of an image, folded to one frame.
  private mutating func foldTime() {
    let norms = entries.keys.filter { $0.contains("time_res.") && $0.contains(".norm") }
    for base in Set(norms.map { $0.split(separator: ".").dropLast().joined(separator: ".") })
      .sorted()
    {
      foldBatchNorm(base)
    }
    foldFrames("encoder.time_conv.0.weight", [[2, 3], [0, 1, 2, 3]], frames: 4, axis: 0)
    foldFrames("encoder.time_conv.1.weight", [[2], [3]], frames: 4, axis: 1)
    if let bias = entries["encoder.time_conv.0.bias"], bias.shape.rank == 1,
      bias.shape[0] <= Self.largestExtent
    {
      entries["encoder.time_conv.0.bias"] = Entry(
        recipe: .joined([bias.recipe, bias.recipe], axis: 0),
        shape: [2 * bias.shape[0]]
      )
    }
    for name in entries.keys where name.hasSuffix(".weight") {
      foldFrames(name, [[2]], frames: 3, axis: 0)
    }
  }

  /// Sums of slices of time, joined along an axis; nothing where the tensor has another form.
  private mutating func foldFrames(_ name: String, _ slices: [[Int]], frames: Int, axis: Int) {
    guard let entry = entries[name], entry.shape.rank == 5, entry.shape[2] == frames,
      entry.shape[axis] <= Self.largestExtent
    else { return }
    let recipes = slices.map { TensorRecipe.time(entry.recipe, $0) }
    var shape = [entry.shape[0], entry.shape[1], entry.shape[3], entry.shape[4]]
    shape[axis] *= slices.count
    entries[name] = Entry(
      recipe: recipes.count == 1 ? recipes[0] : .joined(recipes, axis: axis),
      shape: Shape(shape)
    )
  }

  private mutating func foldBatchNorm(_ base: String) {
    let roles = ["weight", "bias", "running_mean", "running_var"]
    let parts = roles.map { entries["\(base).\($0)"] }
    for (role, part) in zip(roles, parts) where part == nil {
      miss("\(base).\(role)", "a batch norm is folded from four tensors")
    }
    let stored = parts.compactMap { part -> String? in
      guard case .stored(let stored)? = part?.recipe else { return nil }
      return stored
    }
    let shapes = Set(parts.compactMap { $0?.shape })
    guard stored.count == 4, shapes.count == 1, let shape = shapes.first else { return }
    entries["\(base).running_mean"] = nil
    entries["\(base).running_var"] = nil
    entries["\(base).weight"] = Entry(
      recipe: .scale(gain: stored[0], variance: stored[3], epsilon: 1e-5),
      shape: shape
    )
    entries["\(base).bias"] = Entry(
      recipe: .shift(
        bias: stored[1],
        mean: stored[2],
        gain: stored[0],
        variance: stored[3],
        epsilon: 1e-5
      ),
      shape: shape
    )
  }
}
