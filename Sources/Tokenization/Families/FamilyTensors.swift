internal import Foundation
internal import Tensors

/// The tensors of a checkpoint under the names that a family's graphs use, and how each comes about.
struct FamilyTensors: Sendable {
  /// One tensor of a graph.
  struct Entry: Sendable {
    let recipe: TensorRecipe
    let shape: Shape
    /// Which of several files holds it.
    var file = 0
  }

  /// Which of two sets of weights a checkpoint's tensors are taken from.
  enum Weights: String, Sendable, CaseIterable {
    /// As they were trained.
    case raw
    /// Their moving average.
    case averaged = "ema"
  }

  /// By the graphs' names.
  private(set) var entries: [String: Entry] = [:]
  /// Names of the checkpoint that two rules gave the same name, and what else does not fit.
  private(set) var conflicts: [NetworkError] = []
  /// Whether the tensors are moving averages.
  private(set) var isAveraged = false
  private let spelling: Spelling
  private let prefix: String
  private let levels: Int

  /// Finds a family's tensors in a checkpoint.
  ///
  /// - Parameters:
  ///   - shapes: Every tensor of the checkpoint.
  ///   - family: What is looked for.
  ///   - weights: Which weights; nil for the family's own choice.
  /// - Throws: `unrecognized` where no spelling's names are there, or not those weights that were asked for;
  ///   `ambiguous` where they are there twice.
  init(
    _ shapes: [String: Shape],
    of family: FamilyEntry,
    weights: Weights?
  ) throws(NetworkError) {
    let wanted = weights ?? (family.prefersAveraged ? .averaged : .raw)
    let found = try TensorPlace.find(
      family.spellings,
      in: shapes,
      averaged: wanted == .averaged
    )
    guard let place = found else {
      throw .unrecognized(
        name: family.spellings.first?.anchors.first ?? "weights",
        reason: "missing, under any prefix and spelling of \(family.family.rawValue)"
      )
    }
    (spelling, prefix) = (place.spelling, place.prefix)
    var own: [String: String] = [:]
    for name in shapes.keys where name.hasPrefix(place.prefix) {
      own[String(name.dropFirst(place.prefix.count))] = name
    }
    isAveraged = place.isAveraged
    if wanted == .averaged, !isAveraged { isAveraged = Self.average(&own) }
    try Self.check(weights, isAveraged: isAveraged, prefix: prefix)
    own = own.filter { !$0.key.hasPrefix("model_ema.") && !family.isLeftover($0.key) }
    levels = spelling.levels(of: own.keys)
    for (name, stored) in own.sorted(by: { $0.key < $1.key }) {
      guard let shape = shapes[stored] else { continue }
      let canonical = spelling.canonical(name, levels: levels)
      if let other = entries[canonical] {
        conflicts.append(.unusedParameter(name: stored, shape: other.shape))
      }
      entries[canonical] = Entry(recipe: .stored(stored), shape: shape)
    }
    arrange(family.architecture)
  }

  /// The tensors of a Keras file, numbered in the order in which the layers run.
  init(keras layers: [(half: String, tensors: [(name: String, role: String, shape: Shape)])]) {
    (spelling, prefix, levels) = (.keras, "", 0)
    var halves: Set<String> = []
    for layer in layers where !layer.tensors.isEmpty {
      if halves.insert(layer.half).inserted {
        add(keras: layer.tensors, half: layer.half)
      } else {
        conflicts += layer.tensors.map { .unusedParameter(name: $0.name, shape: $0.shape) }
      }
    }
  }

  /// Adds the tensors of another file, such as the other half.
  mutating func add(_ other: FamilyTensors) {
    let file = (entries.values.map(\.file).max() ?? 0) + 1
    for (name, entry) in other.entries.sorted(by: { $0.key < $1.key }) {
      if entries[name] != nil {
        conflicts.append(.unusedParameter(name: other.fileName(name), shape: entry.shape))
        continue
      }
      entries[name] = Entry(recipe: entry.recipe, shape: entry.shape, file: file)
    }
    conflicts += other.conflicts
  }

  /// A name of the graphs as the checkpoint has it or would have it.
  func fileName(_ canonical: String) -> String {
    if let names = entries[canonical]?.recipe.names, let first = names.first { return first }
    return prefix + spelling.fileName(canonical, levels: levels)
  }

  /// The shapes by the graphs' names.
  var shapes: [String: Shape] { entries.mapValues(\.shape) }

  /// Refuses other weights than those that were asked for.
  private static func check(
    _ weights: Weights?,
    isAveraged: Bool,
    prefix: String
  ) throws(NetworkError) {
    if weights == .averaged, !isAveraged {
      throw .unrecognized(
        name: "\(prefix)model_ema.*",
        reason: "missing, and averages are asked for"
      )
    }
    if weights == .raw, isAveraged {
      throw .unrecognized(
        name: "\(prefix)*",
        reason: "averages alone, and raw weights are asked for"
      )
    }
  }

  /// Takes the averages of `model_ema.`, whose names have lost their dots, in place of the raw tensors.
  ///
  /// - Returns: Whether there are any.
  private static func average(_ own: inout [String: String]) -> Bool {
    var averages: [String: String] = [:]
    for (name, stored) in own where name.hasPrefix("model_ema.") {
      averages[String(name.dropFirst("model_ema.".count))] = stored
    }
    guard !averages.isEmpty else { return false }
    for name in own.keys where !name.hasPrefix("model_ema.") {
      if let stored = averages[name.filter { $0 != "." }] { own[name] = stored }
    }
    return true
  }
}

// MARK: - What is stored otherwise

extension FamilyTensors {
  /// Brings what checkpoints store in other forms into the graphs' form.
  private mutating func arrange(_ architecture: NetworkArchitecture) {
    for name in entries.keys.sorted() {
      guard let entry = entries[name] else { continue }
      splitAttention(name, entry)
      joinWeightNorm(name, entry)
      makePointwise(name, entry)
    }
    switch architecture {
    case .autoencoder(let traits):
      if traits.addsOwnResult { addIdentities() }
      if entries["encoder.time_conv.0.weight"] != nil
        || entries["decoder.time_conv.0.weight"] != nil
      {
        foldTime()
      }
    case .dVAE: applyGains()
    case .vqVAE, .finiteScalar: break
    }
  }

  /// One tensor of queries, keys and values (VAR) is three.
  private mutating func splitAttention(_ name: String, _ entry: Entry) {
    let parts = name.components(separatedBy: ".qkv.")
    guard parts.count == 2, entry.shape.rank > 0, entry.shape[0].isMultiple(of: 3) else { return }
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
    for name in entries.keys.filter({ $0.contains("time_res.") && $0.contains(".norm") }).sorted() {
      foldBatchNorm(name)
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

  private mutating func foldBatchNorm(_ name: String) {
    guard name.hasSuffix(".running_var") else { return }
    let base = name.dropLast(".running_var".count)
    let parts = ["weight", "bias", "running_mean", "running_var"].map { entries["\(base).\($0)"] }
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

  /// One half of Su's network: kernels and norms numbered in order; BGR becomes RGB.
  private mutating func add(
    keras tensors: [(name: String, role: String, shape: Shape)],
    half: String
  ) {
    var (convolutions, norms) = (0, 0)
    let kernels = tensors.count { $0.role == "kernel" }
    for tensor in tensors {
      switch tensor.role {
      case "kernel" where tensor.shape.rank == 4:
        let shape = tensor.shape
        var recipe = TensorRecipe.fromKeras(.stored(tensor.name))
        if half == "encoder", convolutions == 0 { recipe = .mirrored(recipe, axis: 1) }
        if half == "decoder", convolutions == kernels - 1 { recipe = .mirrored(recipe, axis: 0) }
        entries["\(half).conv.\(convolutions).weight"] = Entry(
          recipe: recipe,
          shape: [shape[3], shape[2], shape[0], shape[1]]
        )
        convolutions += 1
      case "beta":
        entries["\(half).norm.\(norms).bias"] = Entry(
          recipe: .stored(tensor.name),
          shape: tensor.shape
        )
      case "gamma":
        entries["\(half).norm.\(norms).weight"] = Entry(
          recipe: .stored(tensor.name),
          shape: tensor.shape
        )
        norms += 1
      default:
        conflicts.append(.unusedParameter(name: tensor.name, shape: tensor.shape))
      }
    }
  }
}
