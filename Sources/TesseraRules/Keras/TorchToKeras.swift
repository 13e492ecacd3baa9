package import TesseraCheckpoints
import TesseraCore

/// The recipe from PyTorch's modules back to the layers of a Keras model.
///
/// A file of the model says which layers there are and what its variables are called; it is the recipe
/// from Keras to PyTorch, read from right to left. What that recipe implies (a second bias, a scale of
/// ones) is looked at, because here a trained module may hold something else.
package struct TorchToKeras: Sendable {
  /// The recipe's name and version.
  package static let name = "torch-keras/1"

  /// Rules for every tensor of `checkpoint`.
  package private(set) var rules = ConversionRules(recipe: name)
  /// What the rules are for: the weights, with what only the model's file has.
  package private(set) var checkpoint: any CheckpointReader

  private let modules: [String: String]
  private let found: [String: TensorInfo]
  private var sums: [ComputedTensor] = []
  private var summed: Set<String> = []

  /// Makes the rules for a model.
  ///
  /// - Parameters:
  ///   - weights: The modules' tensors.
  ///   - template: A Keras 3 file of the model, `.keras` or `.weights.h5`; its weights do not matter.
  ///   - modules: For layers whose module has another name: the module by the layer's path with dots.
  /// - Throws: `TesseraError` where a module is missing, has another shape, or computes what the layer does
  ///   not, or where the template is no Keras file.
  package init(
    from weights: any CheckpointReader,
    like template: HDF5Checkpoint,
    modules: [String: String] = [:]
  ) throws {
    checkpoint = weights
    self.modules = modules
    found = Dictionary(weights.tensors.map { ($0.name, $0) }) { first, _ in first }
    let model = try KerasModel(reading: template)
    guard template.format != "keras-h5" else {
      let cause =
        "a file of Keras 2; the model as .keras or .weights.h5 of Keras 3 says the variables"
      throw TesseraError.mismatch(cause, place: template.files.first ?? "")
    }
    let layers = Set(model.layers.map(KerasLayerRules.moduleName))
    if let other = modules.keys.sorted().first(where: { !layers.contains($0) }) {
      let list = layers.sorted().prefix(8).joined(separator: ", ")
      throw TesseraError.mismatch("the model has no such layer; it has \(list)", place: other)
    }
    let flow = try KerasFlow(model)
    rules.notes = flow.notes
    for layer in model.layers {
      let forward = try KerasLayerRules(layer, input: flow.input(of: layer))
      for rule in forward.rules { try add(rule, of: layer, forward.implied) }
      for implied in forward.implied { try check(implied) }
      countBatches(of: layer)
    }
    try join(model.dropped, of: template)
    // An optimizer's state does not come along, and neither do the groups for it.
    rules.kerasNames = template.variableHolders.filter { !$0.key.hasPrefix("optimizer/") }
    // What differs from PyTorch's defaults is what the module should have been made with.
    rules.notes += KerasSettings.notes(about: model).map { "the module should have: \($0)" }
  }

  /// The name that a parameter has in the file, from the one that the layer's path gives it.
  private func given(_ name: String) -> String {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    for count in stride(from: parts.count - 1, to: 0, by: -1) {
      let layer = parts[..<count].joined(separator: ".")
      guard let module = modules[layer] else { continue }
      return ([module] + parts[count...].map(String.init)).joined(separator: ".")
    }
    return name
  }

  private mutating func add(
    _ forward: ConversionRule,
    of layer: KerasLayer,
    _ implied: [ImpliedTensor]
  ) throws {
    let forms = try forward.operations.reduce(
      forward.sources.map { TensorForm(shape: $0.shape, elementType: $0.elementType) }
    ) { try $1.forms(after: $0) }
    if try addPacked(forward, of: layer) { return }
    var sources: [TensorInfo] = []
    for (target, form) in zip(forward.targets, forms) {
      let name = given(target)
      guard let tensor = found[name] else { throw missing(name, layer) }
      guard tensor.shape == form.shape else {
        throw TesseraError.mismatch(
          "has shape \(tensor.shape), but \(label(layer)) takes \(form.shape)",
          place: name
        )
      }
      sources.append(tensor)
    }
    try addSum(to: sources, implied)
    rules.rules.append(
      ConversionRule(
        sources: sources,
        operations: forward.operations.reversed().map(\.inverse),
        targets: forward.sources.map(\.name)
      )
    )
  }

  private func label(_ layer: KerasLayer) -> String {
    "the layer '\(layer.path.joined(separator: "."))' (\(layer.className))"
  }

  private func missing(_ name: String, _ layer: KerasLayer) -> TesseraError {
    let cause =
      "\(label(layer)) takes it, but there is no such tensor; name the module of a layer with "
      + "--module LAYER=MODULE"
    return TesseraError.mismatch(cause, place: name)
  }

  /// Query, key and value of torch.nn.MultiheadAttention are one tensor where their widths are equal.
  ///
  /// - Returns: Whether the rule's tensor is part of one; that of the query stands for all three.
  private mutating func addPacked(_ forward: ConversionRule, of layer: KerasLayer) throws -> Bool {
    guard layer.className == "MultiHeadAttention", forward.targets.count == 1,
      let target = forward.targets.first, found[given(target)] == nil
    else { return false }
    let parts = target.split(separator: ".").map(String.init)
    let kinds = ["q_proj", "k_proj", "v_proj"]
    guard parts.count > 2, let kind = kinds.firstIndex(of: parts[parts.count - 2]) else {
      return false
    }
    let parameter = parts[parts.count - 1]
    let module = given(parts.dropLast(2).joined(separator: ".") + ".x").dropLast(2)
    guard let packed = found["\(module).in_proj_\(parameter)"] else { return false }
    if kind == 0 { try add(packed, isKernel: parameter == "weight", of: layer) }
    return true
  }

  /// Adds the rule that takes query, key and value out of one tensor.
  private mutating func add(_ packed: TensorInfo, isKernel: Bool, of layer: KerasLayer) throws {
    let end = isKernel ? "kernel" : "bias"
    let variables = ["query", "key", "value"].compactMap { layer["\($0).\(end)"] }
    let rows = variables.map { variable in
      let extents =
        isKernel ? variable.shape.dimensions.dropFirst() : variable.shape.dimensions[...]
      return extents.reduce(1, *)
    }
    let width = isKernel ? Set(variables.map { $0.shape[0] }) : []
    guard variables.count == 3, width.count <= 1,
      packed.shape == Shape([rows.reduce(0, +)] + width.sorted())
    else {
      throw TesseraError.mismatch(
        "has shape \(packed.shape); query, key and value of \(label(layer)) do not fit it",
        place: packed.name
      )
    }
    let chains = variables.map { variable -> [TensorOperation] in
      guard isKernel else {
        return [.reshape(from: [variable.shape.elementCount ?? 0], to: variable.shape)]
      }
      let flat = Shape([
        variable.shape[0], (variable.shape.elementCount ?? 0) / max(variable.shape[0], 1),
      ])
      return [.transpose, .reshape(from: flat, to: variable.shape)]
    }
    rules.rules.append(
      ConversionRule(
        sources: [packed],
        operations: [.split(axis: 0, sizes: rows), .each(chains)],
        targets: variables.map(\.name)
      )
    )
  }

  /// Keras has one bias where PyTorch adds two: their sum stands for both, unless the second is zero.
  private mutating func addSum(to sources: [TensorInfo], _ implied: [ImpliedTensor]) throws {
    for first in sources where first.name.contains("bias_ih") {
      let name = first.name.replacing("bias_ih", with: "bias_hh")
      guard implied.contains(where: { given($0.tensor.name) == name }), let second = found[name],
        try !holds(second, only: .zero)
      else { continue }
      guard second.shape == first.shape, first.elementType != .float64,
        second.elementType == first.elementType
      else {
        let cause = "another shape or type than '\(first.name)', or float64: cannot be added to it"
        throw TesseraError.mismatch(cause, place: name)
      }
      let weights = checkpoint
      sums.append(
        ComputedTensor(info: first) { rows in
          let (a, b) = (
            try weights.floats(of: first, rows: rows), try weights.floats(of: second, rows: rows)
          )
          return zip(a, b).map { $0 + $1 }
        }
      )
      summed.insert(name)
      rules.notes.append("\(first.name): the sum with \(name); Keras has one bias")
    }
  }

  /// Leaves out what the layer does not have, where it changes nothing.
  private mutating func check(_ implied: ImpliedTensor) throws {
    let name = given(implied.tensor.name)
    guard let tensor = found[name], !summed.contains(name) else { return }
    guard try holds(tensor, only: implied.value) else {
      let cause =
        "the Keras layer has none, which is one of \(implied.value.rawValue) everywhere; this one is not"
      throw TesseraError.mismatch(cause, place: name)
    }
    let reason = "\(implied.value.rawValue) everywhere, as Keras has it without"
    rules.drop(name, because: reason)
  }

  private mutating func countBatches(of layer: KerasLayer) {
    let name = given(KerasLayerRules.moduleName(of: layer) + ".num_batches_tracked")
    guard layer.className == "BatchNormalization", found[name] != nil else { return }
    rules.drop(name, because: "Keras counts no batches")
  }

  private func holds(_ tensor: TensorInfo, only value: ImpliedTensor.Value) throws -> Bool {
    let wanted: Float = value == .one ? 1 : 0
    return try checkpoint.floats(of: tensor).allSatisfy { $0 == wanted }
  }

  /// Adds the sums, and the state of random numbers, which only the model's file has.
  private mutating func join(_ dropped: [DroppedVariable], of template: HDF5Checkpoint) throws {
    if !sums.isEmpty {
      checkpoint = try ComputedCheckpoint(checkpoint, computing: sums, removing: summed)
    }
    let states = dropped.filter { $0.reason == .randomState }.map(\.tensor)
    let additions = states.map { state in
      JoinedCheckpoint.Addition(
        name: "\(state.name) (of the model's file)",
        tensor: state,
        checkpoint: template
      )
    }
    guard !additions.isEmpty else { return }
    checkpoint = JoinedCheckpoint(checkpoint, with: additions, isListing: true)
    for (addition, state) in zip(additions, states) {
      rules.rules.append(ConversionRule(addition.info, to: state.name))
    }
  }
}
