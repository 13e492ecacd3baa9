import TesseraCheckpoints
import TesseraCore

/// How the axes and features of a Keras model stand in PyTorch, layer by layer.
///
/// `torch.flatten` of [batch, channels, height, width] gives the features of Keras' Flatten in another
/// order. Where a layer with weights takes them, its input axis is reordered; where the order cannot be
/// derived from the model's description, there is an error that names the layer.
struct KerasFlow {
  /// What a layer's weights must be brought into.
  enum Input: Hashable {
    /// The order that they have.
    case asIs
    /// The order of the features, for the axis of the input.
    case pieces([KerasFeatures.Piece])
    /// The last axis first: a normalization over channels and positions.
    case channelsFirst
  }

  /// The layers' inputs by path, without the halves of Bidirectional layers.
  private(set) var inputs: [[String]: Input] = [:]
  /// What the user should know, a sentence each.
  private(set) var notes: [String] = []
  /// Whether rank 3 may be channels first in PyTorch: the model has layers that take it so.
  let hasSequences: Bool
  /// Whether the file describes the layers one by one: all but subclassed models and weights alone.
  let isDescribed: Bool
  /// The layers with weights by path.
  let weights: [[String]: [KerasLayer]]

  /// Follows the data through a model.
  ///
  /// - Throws: `TesseraError` where a layer's weights depend on an order that is not known.
  init(_ model: KerasModel) throws(TesseraError) {
    weights = Dictionary(grouping: model.layers, by: KerasFlow.path)
    let root = model.architecture.map { KerasGraphLayer($0) }
    hasSequences = root.map(KerasFlow.takesSequences) ?? false
    let graph = root.flatMap { KerasGraph($0) }
    isDescribed = graph != nil
    guard let graph else { return }
    let results = try run(graph, at: [], of: nil)
    if results.contains(where: { $0.order != nil }) {
      notes.append(
        "the model's output is flattened channels first in PyTorch, in another order than Keras'"
      )
    }
  }

  /// The path of a layer; the halves of a Bidirectional layer share one.
  static func path(of layer: KerasLayer) -> [String] {
    let isHalf = ["forward_layer", "backward_layer"].contains(layer.path.last)
    return isHalf ? Array(layer.path.dropLast()) : layer.path
  }

  private static func takesSequences(_ layer: KerasGraphLayer) -> Bool {
    let isSpatial = KerasLayerKind(layer).isSpatial && layer.className.contains("1D")
    let inner = (layer.layers ?? []).map { KerasGraphLayer($0) } + [layer.wrapped].compactMap { $0 }
    return isSpatial && !layer.className.hasPrefix("Global")
      || inner.contains(where: takesSequences)
  }
}

extension KerasFlow {
  /// Follows the data through one model.
  ///
  /// - Parameters:
  ///   - graph: The model's layers.
  ///   - path: The names of the models around them.
  ///   - given: What it is called on; nil for the whole model, whose inputs are its own.
  /// - Returns: What it gives, in order.
  /// - Throws: `TesseraError` where a layer's weights depend on an order that is not known.
  mutating func run(
    _ graph: KerasGraph,
    at path: [String],
    of given: [KerasFeatures]?
  ) throws(TesseraError) -> [KerasFeatures] {
    var values: [KerasGraph.Reference: [KerasFeatures]] = [:]
    for (index, name) in graph.inputs.enumerated() {
      guard let node = graph.nodes.first(where: { $0.key == name }) else { continue }
      let known = given.flatMap { $0.indices.contains(index) ? $0[index] : nil }
      let shape = KerasGraphLayer.extents(
        node.layer.configuration["batch_shape"] ?? node.layer.configuration["batch_input_shape"]
      )
      values[Self.key(name, 0)] = [(known ?? input(of: shape)).shaped(known == nil ? shape : nil)]
    }
    for (node, call) in KerasFlow.ordered(graph) where values[Self.key(node.key, call)] == nil {
      let arguments = node.calls[call].map { reference in
        Self.value(of: reference, among: values).shaped(reference.shape)
      }
      let place = path + [node.layer.name]
      values[Self.key(node.key, call)] = try outputs(of: node.layer, at: place, on: arguments)
    }
    return graph.outputs.map { Self.value(of: $0, among: values) }
  }

  private static func key(_ layer: String, _ call: Int) -> KerasGraph.Reference {
    KerasGraph.Reference(layer: layer, call: call, output: 0, shape: nil)
  }

  private static func value(
    of reference: KerasGraph.Reference,
    among values: [KerasGraph.Reference: [KerasFeatures]]
  ) -> KerasFeatures {
    let found = values[key(reference.layer, reference.call)] ?? []
    if found.indices.contains(reference.output) { return found[reference.output] }
    let cause = "'\(reference.layer)' gives it, which the model's description does not explain"
    return KerasFeatures(axes: .open).doubted(cause)
  }

  /// Every call of every layer behind those that it takes its input from.
  private static func ordered(_ graph: KerasGraph) -> [(node: KerasGraph.Node, call: Int)] {
    struct Call: Hashable {
      let node: Int
      let call: Int
    }
    let indices = Dictionary(graph.nodes.enumerated().map { ($1.key, $0) }) { first, _ in first }
    var waiting: [Call: Int] = [:]
    var takers: [Call: [Call]] = [:]
    var ready: [Call] = []
    for (index, node) in graph.nodes.enumerated() {
      for (number, arguments) in node.calls.enumerated() {
        let call = Call(node: index, call: number)
        var sources: Set<Call> = []
        for argument in arguments {
          guard let source = indices[argument.layer],
            graph.nodes[source].calls.indices.contains(argument.call)
          else { continue }
          sources.insert(Call(node: source, call: argument.call))
        }
        waiting[call] = sources.count
        for source in sources { takers[source, default: []].append(call) }
        if sources.isEmpty { ready.append(call) }
      }
    }
    var order: [(node: KerasGraph.Node, call: Int)] = []
    var next = 0
    while next < ready.count {
      let call = ready[next]
      next += 1
      order.append((graph.nodes[call.node], call.call))
      for taker in takers[call] ?? [] {
        waiting[taker, default: 0] -= 1
        if waiting[taker] == 0 { ready.append(taker) }
      }
    }
    return order
  }

  /// What a model is called on, by shape alone: nothing says how PyTorch's model takes images.
  private func input(of shape: [Int?]?) -> KerasFeatures {
    let rank = shape?.count
    let isOpen = rank.map { $0 > 3 || ($0 == 3 && hasSequences) } ?? true
    return KerasFeatures(axes: isOpen ? .open : .kept, rank: rank).shaped(shape)
  }
}

extension KerasFlow {
  /// Notes what a layer's weights take; every call must take the same.
  mutating func take(_ input: Input, at path: [String], _ layer: KerasGraphLayer)
    throws(TesseraError)
  {
    if let other = inputs[path], other != input {
      throw refusal(path, layer, "is called on features in different orders")
    }
    inputs[path] = input
  }

  /// Takes features along one axis of the weights.
  mutating func takeFeatures(
    _ features: KerasFeatures,
    at path: [String],
    _ layer: KerasGraphLayer
  ) throws(TesseraError) {
    for layerWeights in weights[path] ?? [] {
      guard let count = layerWeights.inputCount else { continue }
      if let doubt = features.doubt { throw refusal(path, layer, doubt) }
      guard let order = features.order else {
        if let channels = features.channels, channels != count {
          let cause =
            "takes \(count) features, and the layers before it are described as giving \(channels)"
          throw refusal(path, layer, cause)
        }
        try take(.asIs, at: path, layer)
        continue
      }
      guard let pieces = order.filling(count) else {
        throw refusal(path, layer, "its \(count) inputs do not fit what is flattened before it")
      }
      guard pieces.moves else {
        try take(.asIs, at: path, layer)
        continue
      }
      if inputs[path] == nil {
        notes.append(
          "\(path.joined(separator: ".")): its input is reordered for torch.flatten of "
            + "[batch, channels, positions…]"
        )
      }
      try take(.pieces(pieces), at: path, layer)
    }
  }

  func refusal(_ path: [String], _ layer: KerasGraphLayer, _ cause: String) -> TesseraError {
    TesseraError.mismatch(
      "\(layer.className): \(cause); only a conversion without --to torch or keras, which "
        + "keeps Keras' own order, is exact here",
      place: path.joined(separator: ".")
    )
  }
}

extension KerasLayer {
  /// The extent of the weights' input axis; nil where the layer has none of features.
  var inputCount: Int? {
    let roles = ["kernel", "gamma", "beta", "moving_mean", "scale", "alpha"]
    guard let tensor = roles.lazy.compactMap({ self[$0] }).first, tensor.shape.rank > 0 else {
      return nil
    }
    guard className == "PReLU" else { return tensor.shape[0] }
    // One slope for all features has no order.
    return tensor.shape.dimensions.last.flatMap { $0 == 1 ? nil : $0 }
  }
}

extension [KerasFeatures.Piece] {
  /// Whether any piece changes the order.
  var moves: Bool {
    contains { piece in
      guard case .moved(let positions, let channels) = piece else { return false }
      return channels > 1 && positions != 1
    }
  }
}
