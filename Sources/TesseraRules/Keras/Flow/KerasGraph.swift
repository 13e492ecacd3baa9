import TesseraCore

/// How the layers of a Keras model pass data on, as the model's description states it; nothing of it is run.
struct KerasGraph {
  /// A tensor between layers: an output of one of a layer's calls.
  struct Reference: Hashable {
    let layer: String
    let call: Int
    /// Which of the results it is.
    let output: Int
    /// Its extents, batch first, nil where one is open; nil where the description does not state them.
    let shape: [Int?]?
  }

  /// A layer with the inputs of each of its calls.
  struct Node {
    /// The name by which others refer to it.
    let key: String
    let layer: KerasGraphLayer
    let calls: [[Reference]]
  }

  /// The layers; in a Sequential model each has one call on the layer before it.
  let nodes: [Node]
  /// The layers that stand for the model's inputs, in order.
  let inputs: [String]
  /// What the model gives.
  let outputs: [Reference]

  /// Reads a model's description; nil for a layer or a subclassed model, which has no list of layers.
  init?(_ model: KerasGraphLayer) {
    guard let entries = model.layers else { return nil }
    let layers = entries.map { KerasGraphLayer($0) }
    guard entries.contains(where: { $0["inbound_nodes"] != nil }) else {
      (nodes, inputs, outputs) = KerasGraph.chain(layers)
      return
    }
    nodes = layers.map { layer in
      let calls = layer.json["inbound_nodes"]?.array ?? []
      return Node(
        key: layer.key,
        layer: layer,
        calls: calls.map { call in
          var found: [Reference] = []
          KerasGraph.collect(call, into: &found)
          return found
        }
      )
    }
    inputs = KerasGraph.references(model.configuration["input_layers"]).map(\.layer)
    outputs = KerasGraph.references(model.configuration["output_layers"])
  }

  private static func chain(
    _ layers: [KerasGraphLayer]
  ) -> (nodes: [Node], inputs: [String], outputs: [Reference]) {
    // Keras 2's Sequential may state the input's shape in its first layer alone.
    let first = "input of the model"
    var (nodes, before): ([Node], String) = ([], first)
    if layers.first?.className != "InputLayer" {
      let shape = layers.first?.configuration["batch_input_shape"]
      let input = JSONValue.object([
        "class_name": .string("InputLayer"), "config": .object(["batch_shape": shape ?? .null]),
      ])
      nodes.append(Node(key: first, layer: KerasGraphLayer(input), calls: []))
    }
    for (index, layer) in layers.enumerated() {
      // Names need not be unique across a wrapper; the place in the chain is.
      let key = index == 0 && layer.className == "InputLayer" ? first : "\(index)"
      let isInput = key == first
      let reference = Reference(layer: before, call: 0, output: 0, shape: layer.builtShape)
      nodes.append(Node(key: key, layer: layer, calls: isInput ? [] : [[reference]]))
      before = key
    }
    return (nodes, [first], [Reference(layer: before, call: 0, output: 0, shape: nil)])
  }

  /// `["dense", 0, 0]`, or a list or dictionary of them.
  private static func references(_ value: JSONValue?) -> [Reference] {
    var found: [Reference] = []
    if let value { collect(value, into: &found) }
    return found
  }

  /// Finds the tensors in the arguments of a call, as Keras 3 and Keras 2 write them.
  private static func collect(_ value: JSONValue, into found: inout [Reference]) {
    if let members = value.object {
      guard members["class_name"]?.string == "__keras_tensor__" else {
        for key in members.keys.sorted() {
          if let member = members[key] { collect(member, into: &found) }
        }
        return
      }
      let history = members["config"]?["keras_history"]?.array ?? []
      guard let layer = history.first?.string else { return }
      let shape = KerasGraphLayer.extents(members["config"]?["shape"])
      let (call, output) = (index(history, 1), index(history, 2))
      found.append(Reference(layer: layer, call: call, output: output, shape: shape))
      return
    }
    guard let elements = value.array else { return }
    if elements.count >= 3, let layer = elements[0].string, elements[1].number != nil {
      // Keras 2 marks constants among the arguments in this way.
      guard layer != "_CONSTANT_VALUE" else { return }
      let (call, output) = (index(elements, 1), index(elements, 2))
      found.append(Reference(layer: layer, call: call, output: output, shape: nil))
      for argument in elements.dropFirst(3) { collect(argument, into: &found) }
      return
    }
    for element in elements { collect(element, into: &found) }
  }

  private static func index(_ values: [JSONValue], _ place: Int) -> Int {
    guard values.indices.contains(place) else { return 0 }
    return values[place].number.flatMap { Int(exactly: $0) } ?? 0
  }
}

/// A layer in a model's description.
struct KerasGraphLayer {
  let json: JSONValue

  init(_ json: JSONValue) { self.json = json }

  var className: String { json["class_name"]?.string ?? "" }
  /// Where the class comes from; what Keras 3 calls operations is no layer of that name.
  var isOperation: Bool { json["module"]?.string?.contains(".ops") == true }
  var configuration: [String: JSONValue] { json["config"]?.object ?? [:] }
  /// The name that variables stand under.
  var name: String { configuration["name"]?.string ?? json["name"]?.string ?? "" }
  /// The name that other layers refer to.
  var key: String { json["name"]?.string ?? name }

  /// The layers of a model, nil where this is none; Keras 2's first Sequential kept them as its config.
  var layers: [JSONValue]? { configuration["layers"]?.array ?? json["config"]?.array }

  /// What a wrapper wraps.
  var wrapped: KerasGraphLayer? { configuration["layer"].map { KerasGraphLayer($0) } }

  /// The shape that the layer was built for, where the description states one.
  var builtShape: [Int?]? { KerasGraphLayer.extents(json["build_config"]?["input_shape"]) }

  func text(_ key: String) -> String? { configuration[key]?.string }
  func bool(_ key: String) -> Bool? { configuration[key]?.bool }
  func integer(_ key: String) -> Int? { configuration[key]?.number.flatMap { Int(exactly: $0) } }

  /// One or several whole numbers.
  func integers(_ key: String) -> [Int]? {
    if let one = integer(key) { return [one] }
    let extents = KerasGraphLayer.extents(configuration[key])
    return extents.flatMap { $0.contains(nil) ? nil : $0.compactMap { $0 } }
  }

  /// A list of extents with nil for open ones; nil where the value is no such list.
  static func extents(_ value: JSONValue?) -> [Int?]? {
    guard let elements = value?.array else { return nil }
    var extents: [Int?] = []
    for element in elements {
      if element == .null {
        extents.append(nil)
      } else if let extent = element.number.flatMap({ Int(exactly: $0) }) {
        extents.append(extent)
      } else {
        return nil
      }
    }
    return extents
  }
}
