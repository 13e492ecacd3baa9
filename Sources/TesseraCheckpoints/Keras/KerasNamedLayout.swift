import TesseraCore

/// Legacy `.h5`: a group a layer, whose `weight_names` name its variables.
struct KerasNamedLayout {
  private let checkpoint: HDF5Checkpoint
  private let model: KerasDescription?
  /// Where the layers' groups are: `model_weights` in whole models, the root in weights alone.
  private let root: String
  private let tensors: [String: TensorInfo]

  init(_ checkpoint: HDF5Checkpoint, _ model: KerasDescription?) {
    (self.checkpoint, self.model) = (checkpoint, model)
    root = checkpoint.names("layer_names", of: "model_weights") == nil ? "" : "model_weights"
    tensors = Dictionary(uniqueKeysWithValues: checkpoint.tensors.map { ($0.name, $0) })
  }

  func contents() throws(TesseraError) -> KerasContents {
    var found = KerasContents()
    for layer in checkpoint.names("layer_names", of: root) ?? [] {
      try add(layer, to: &found)
    }
    for tensor in checkpoint.tensors where tensor.name.hasPrefix("optimizer_weights/") {
      found.dropped.append(DroppedVariable(tensor: tensor, reason: .optimizerState))
    }
    return found
  }

  private func failure(_ place: String, _ cause: String) -> TesseraError {
    TesseraError.mismatch(cause, file: checkpoint.fileName, place: place)
  }

  private func add(_ layer: String, to found: inout KerasContents) throws(TesseraError) {
    let group = root.isEmpty ? layer : "\(root)/\(layer)"
    guard let names = checkpoint.names("weight_names", of: group) else {
      throw failure(group, "a layer without a list of weight_names")
    }
    let description = model?.children.first { $0.name == layer }
    var parts: [Placement] = []
    for name in names {
      guard let tensor = tensors["\(group)/\(name)"] else {
        throw failure("\(group)/\(name)", "listed in weight_names, but there is no such tensor")
      }
      let components = name.split(separator: "/").map(String.init)
      if components.contains(where: { $0.hasPrefix("seed_generator_state") }) {
        found.dropped.append(DroppedVariable(tensor: tensor, reason: .randomState))
        continue
      }
      let part = try placement(of: components, in: description, layer: layer, tensor: tensor)
      if let index = parts.firstIndex(where: { $0.path == part.path }) {
        parts[index].variables += part.variables
      } else {
        parts.append(part)
      }
    }
    for part in parts { found.layers.append(try self.layer(from: part)) }
  }

  /// A layer under construction.
  private struct Placement {
    var path: [String]
    var description: KerasDescription?
    var wrappers: [String] = []
    var variables: [KerasVariable] = []
  }

  /// Finds the layer of one variable and its role there.
  private func placement(
    of components: [String],
    in description: KerasDescription?,
    layer: String,
    tensor: TensorInfo
  ) throws(TesseraError) -> Placement {
    guard let last = components.last else { throw failure(layer, "a variable without a name") }
    var scopes = components.dropLast().filter { !$0.hasSuffix("_cell") }
    var role = String(last.prefix { $0 != ":" })
    if let projection = scopes.last.flatMap({ KerasNamedLayout.projections[$0] }) {
      role = "\(projection).\(role)"
      scopes.removeLast()
    }
    var part = Placement(path: [layer], description: description)
    if let description, description.isModel {
      let (path, leaf) = try self.leaf(of: description, scopes: scopes, tensor: tensor)
      part.path += path
      part.description = leaf
    } else if description == nil {
      part.path += scopes.drop { $0 == layer }
    }
    while let wrapper = part.description, let wrapped = wrapper.wrapped,
      wrapper.className != "RNN"
    {
      part.wrappers.append(wrapper.className)
      part.description = wrapped
      if wrapper.className == "Bidirectional" {
        let isBackward = scopes.contains { $0.hasPrefix("backward_") }
        part.path.append(isBackward ? "backward_layer" : "forward_layer")
      }
    }
    part.variables = [KerasVariable(role: role, tensor: tensor)]
    return part
  }

  private static let projections = [
    "query": "query", "key": "key", "value": "value", "attention_output": "output",
  ]

  /// The layer inside a model whose name, and best also whose models' names, occur in the scopes.
  private func leaf(
    of model: KerasDescription,
    scopes: [String],
    tensor: TensorInfo
  ) throws(TesseraError) -> (path: [String], layer: KerasDescription) {
    let named = model.leaves.filter { scopes.contains($0.layer.name) }
    let exact = named.filter { leaf in leaf.path.allSatisfy(scopes.contains) }
    let best = exact.isEmpty ? named : exact
    guard best.count == 1, let only = best.first else {
      let cause = best.isEmpty ? "no layer of the model has" : "several layers of the model have"
      throw failure(tensor.name, "\(cause) a name in '\(scopes.joined(separator: "/"))'")
    }
    return only
  }

  private func layer(from part: Placement) throws(TesseraError) -> KerasLayer {
    let place = part.path.joined(separator: ".")
    var shapes: [String: Shape] = [:]
    for variable in part.variables {
      guard shapes.updateValue(variable.tensor.shape, forKey: variable.role) == nil else {
        throw failure(place, "two variables named '\(variable.role)'")
      }
    }
    let name = part.description?.className ?? KerasRoles.className(of: shapes) ?? ""
    let variables = part.variables.map { variable in
      let isRenamed = name.hasPrefix("DepthwiseConv") && variable.role == "depthwise_kernel"
      return isRenamed ? KerasVariable(role: "kernel", tensor: variable.tensor) : variable
    }
    return KerasLayer(
      path: part.path,
      className: name,
      wrappers: part.wrappers,
      configuration: part.description?.configuration ?? KerasConfiguration([:]),
      variables: variables
    )
  }
}
