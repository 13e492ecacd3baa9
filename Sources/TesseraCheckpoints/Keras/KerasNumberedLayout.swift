import TesseraCore

/// Keras 3's `.weights.h5`: a group an object, whose variables are numbered under `vars`.
///
/// A model's layers are `layers/<class in snake case>[_N]`, counted for each class in the model's
/// order; other objects are named by the attribute that holds them (`cell`, `forward_layer`, …).
struct KerasNumberedLayout {
  private let checkpoint: HDF5Checkpoint
  private let model: KerasDescription?
  /// Whether the file says which groups are layers; older ones do not.
  private let hasNames: Bool

  init(_ checkpoint: HDF5Checkpoint, _ model: KerasDescription?) {
    (self.checkpoint, self.model) = (checkpoint, model)
    hasNames = !checkpoint.variableHolders.isEmpty
  }

  func contents() throws(TesseraError) -> KerasContents {
    var found = KerasContents()
    let root = try Group(of: checkpoint)
    for (name, group) in root.groups {
      guard let reason = KerasNumberedLayout.states[name] else { continue }
      found.dropped += group.allTensors.map { DroppedVariable(tensor: $0, reason: reason) }
    }
    let weights = root.without(Set(KerasNumberedLayout.states.keys))
    try addModel(weights, model, path: [], to: &found)
    return found
  }

  /// Groups at the root that hold no weights.
  private static let states: [String: DroppedVariable.Reason] = [
    "optimizer": .optimizerState, "_optimizer": .optimizerState,
    "metrics": .metricState, "_metrics": .metricState, "compile_metrics": .metricState,
    "_compile_metrics": .metricState, "loss_tracker": .metricState,
    "_loss_tracker": .metricState, "train_metrics": .metricState,
  ]

  /// Where a model keeps its layers; the second name is that of Keras 2.13.
  private static let containers = ["layers", "_layer_checkpoint_dependencies"]

  private func failure(_ place: [String], _ cause: String) -> TesseraError {
    TesseraError.mismatch(cause, file: checkpoint.fileName, place: place.joined(separator: "."))
  }

  private func addModel(
    _ group: Group,
    _ description: KerasDescription?,
    path: [String],
    to found: inout KerasContents
  ) throws(TesseraError) {
    for (name, child) in group.groups where KerasNumberedLayout.containers.contains(name) {
      try addLayers(of: child, description, path: path, to: &found)
    }
    let others = group.without(Set(KerasNumberedLayout.containers))
    if !others.tensors.isEmpty, let description, !path.isEmpty || description.isModel {
      throw failure(path, "variables of a model itself, outside its layers")
    }
    for (name, child) in others.groups {
      try add(child, nil, name: name, isClass: false, path: path + [name], to: &found)
    }
    if !others.tensors.isEmpty { throw failure(path, "variables outside any layer") }
  }

  /// Walks the layers of a model in its order; without a description in that of the groups' names.
  private func addLayers(
    of container: Group,
    _ description: KerasDescription?,
    path: [String],
    to found: inout KerasContents
  ) throws(TesseraError) {
    guard let description, description.isModel else {
      for (name, child) in container.groups {
        // Newer files keep the layer's own name; its group is named after the class.
        let own = child.name ?? name
        try add(child, nil, name: name, isClass: true, path: path + [own], to: &found)
      }
      return
    }
    var used: [String: Int] = [:]
    var waiting = Dictionary(uniqueKeysWithValues: container.groups.map { ($0.name, $0.group) })
    for layer in description.children {
      let base = KerasDescription.groupName(ofClass: layer.className)
      let number = used[base, default: 0]
      used[base] = number + 1
      let name = number == 0 ? base : "\(base)_\(number)"
      guard let child = waiting.removeValue(forKey: name) else { continue }
      let own = layer.name.isEmpty ? child.name ?? name : layer.name
      try add(child, layer, name: name, isClass: true, path: path + [own], to: &found)
    }
    if let lost = waiting.keys.min() {
      throw failure(
        path + [lost],
        "a group of weights that the model's configuration does not have"
      )
    }
  }

  /// Adds a layer, or the layers of a nested model.
  ///
  /// The group's name says the class in lists of layers; otherwise it is an attribute's and says nothing.
  private func add(
    _ group: Group,
    _ description: KerasDescription?,
    name: String,
    isClass: Bool,
    path: [String],
    to found: inout KerasContents
  ) throws(TesseraError) {
    let isModel = group.groups.contains { KerasNumberedLayout.containers.contains($0.name) }
    if isModel { return try addModel(group, description, path: path, to: &found) }
    let named = isClass ? KerasDescription.className(ofGroup: name) : nil
    let className = description?.className ?? named ?? ""
    let layer = NumberedLayer(
      path: path,
      className: className,
      wrappers: [],
      description: description
    )
    try add(group, layer, to: &found)
  }

  /// A layer on the way down through its wrappers.
  private struct NumberedLayer {
    var path: [String]
    var className: String
    var wrappers: [String]
    var description: KerasDescription?
  }

  private func add(
    _ group: Group,
    _ layer: NumberedLayer,
    to found: inout KerasContents
  ) throws(TesseraError) {
    var variables: [KerasVariable] = []
    if !group.tensors.isEmpty {
      variables = try self.variables(group.tensors, of: layer, prefix: "")
    }
    for (name, child) in group.groups.inCallOrder {
      if name.contains("seed_generator") || name == "_random_generator" {
        found.dropped += child.allTensors.map { DroppedVariable(tensor: $0, reason: .randomState) }
      } else if let projection = KerasNumberedLayout.projections[name],
        layer.className == "MultiHeadAttention"
      {
        variables += try self.variables(child.tensors, of: layer, prefix: "\(projection).")
      } else if name == "cell" {
        // A recurrent layer keeps its weights in its cell; both have the same roles.
        try add(child, inside(layer, name: name, child), to: &found)
      } else if ["layer", "forward_layer", "backward_layer"].contains(name) {
        try add(child, inside(layer, name: name, child), to: &found)
      } else if !child.allTensors.isEmpty {
        // A list of layers is no layer, so has no name of its own.
        let isList = hasNames && group.name == nil
        try add(child, nil, name: name, isClass: isList, path: layer.path + [name], to: &found)
      }
    }
    guard !variables.isEmpty else { return }
    found.layers.append(
      KerasLayer(
        path: layer.path,
        className: layer.className,
        wrappers: layer.wrappers,
        configuration: layer.description?.configuration ?? KerasConfiguration([:]),
        variables: variables
      )
    )
  }

  private static let projections = [
    "query_dense": "query", "key_dense": "key", "value_dense": "value", "output_dense": "output",
  ]

  /// The layer that a wrapper or a recurrent layer holds under a group name.
  private func inside(_ outer: NumberedLayer, name: String, _ group: Group) -> NumberedLayer {
    var inner = outer
    if name == "cell" {
      if ["RNN", ""].contains(outer.className) {
        inner.description = outer.description?.wrapped
        inner.className = inner.description?.className ?? group.inferredClass ?? ""
      }
      return inner
    }
    inner.wrappers.append(outer.className)
    inner.description = outer.description?.wrapped
    inner.className = inner.description?.className ?? group.inferredClass ?? ""
    if name != "layer" { inner.path.append(name) }
    return inner
  }

  /// Names numbered variables by the class of their layer.
  private func variables(
    _ tensors: [TensorInfo],
    of layer: NumberedLayer,
    prefix: String
  ) throws(TesseraError) -> [KerasVariable] {
    guard KerasRoles.knownClasses.contains(layer.className) else {
      return tensors.enumerated().map { KerasVariable(role: "\($0)", tensor: $1) }
    }
    let configuration = layer.description?.configuration ?? KerasConfiguration([:])
    let roles = KerasRoles.roles(
      ofClass: layer.className,
      configuration,
      count: tensors.count
    )
    guard let roles else {
      let cause =
        "\(tensors.count) variables, which a \(layer.className) layer does not have, "
        + "or whose roles only the model's configuration tells: convert the .keras file"
      throw failure(layer.path, cause)
    }
    return zip(roles, tensors).map { KerasVariable(role: prefix + $0, tensor: $1) }
  }
}

extension KerasNumberedLayout {
  /// A group of the file with all that is below it.
  struct Group {
    /// The numbered variables under `vars`, in the order of their numbers.
    var tensors: [TensorInfo] = []
    /// The groups below, in natural order: `dense_2` before `dense_10`.
    var groups: [(name: String, group: Group)] = []
    /// The name of the object that the group belongs to, where the file tells.
    var name: String?

    /// All tensors at any depth.
    var allTensors: [TensorInfo] { tensors + groups.flatMap { $0.group.allTensors } }

    /// The same group without some of the groups in it.
    func without(_ names: Set<String>) -> Group {
      var rest = self
      rest.groups.removeAll { names.contains($0.name) }
      return rest
    }

    /// The class that the variables can only belong to, where no description tells.
    var inferredClass: String? {
      let own = groups.first { $0.name == "cell" }?.group.tensors ?? tensors
      let shapes = own.map(\.shape)
      if shapes.count >= 2,
        let recurrent = KerasRoles.recurrentClass(kernel: shapes[0], recurrent: shapes[1])
      {
        return recurrent
      }
      let isDense =
        shapes.count <= 2 && shapes.first?.rank == 2
        && shapes.dropFirst().allSatisfy {
          $0.rank == 1
        }
      return isDense ? "Dense" : nil
    }

    /// The groups of a checkpoint, from the names of its tensors.
    init(of checkpoint: HDF5Checkpoint) throws(TesseraError) {
      var root = Group()
      for tensor in checkpoint.tensors {
        let parts = tensor.name.split(separator: "/").map(String.init)
        guard parts.count >= 2, parts[parts.count - 2] == "vars", Int(parts[parts.count - 1]) != nil
        else {
          let cause = "no numbered variable, so no part of a Keras 3 file"
          throw TesseraError.mismatch(cause, file: checkpoint.fileName, place: tensor.name)
        }
        root.insert(tensor, parts.dropLast(2)[...])
      }
      root.sort(checkpoint, path: "")
      self = root
    }

    private init() {}

    private mutating func insert(_ tensor: TensorInfo, _ path: ArraySlice<String>) {
      guard let first = path.first else {
        tensors.append(tensor)
        return
      }
      let index = groups.firstIndex { $0.name == first } ?? groups.count
      if index == groups.count { groups.append((first, Group())) }
      groups[index].group.insert(tensor, path.dropFirst())
    }

    private mutating func sort(_ checkpoint: HDF5Checkpoint, path: String) {
      name = checkpoint.attributes(of: path.isEmpty ? "vars" : "\(path)/vars")["name"]?.text
      // The file lists names as texts: 0, 1, 10, 11, 2.
      tensors.sort { NaturalOrder.precedes($0.name, $1.name) }
      groups.sort { NaturalOrder.precedes($0.name, $1.name) }
      for index in groups.indices {
        let below = path.isEmpty ? groups[index].name : "\(path)/\(groups[index].name)"
        groups[index].group.sort(checkpoint, path: below)
      }
    }
  }
}

extension [(name: String, group: KerasNumberedLayout.Group)] {
  /// Query, key, value, output and forward, backward in the order of use; the rest as it is.
  fileprivate var inCallOrder: [Element] {
    let order = ["query_dense", "key_dense", "value_dense", "output_dense", "forward_layer"]
    let known = order.compactMap { name in first { $0.name == name } }
    return known + filter { !order.contains($0.name) }
  }
}

/// The order of names that end in numbers: the text first, then the number.
enum NaturalOrder {
  /// Whether `a` stands before `b`.
  static func precedes(_ a: String, _ b: String) -> Bool {
    let (textA, numberA) = split(a)
    let (textB, numberB) = split(b)
    return textA == textB ? numberA < numberB : textA < textB
  }

  private static func split(_ name: String) -> (text: String, number: Int) {
    let digits = name.reversed().prefix { ("0"..."9").contains($0) }
    let number = Int(String(digits.reversed())) ?? -1
    return (String(name.dropLast(digits.count)), number)
  }
}
