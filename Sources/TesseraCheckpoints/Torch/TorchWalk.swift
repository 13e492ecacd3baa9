import TesseraCore

/// Walks through what a pickle saved and names its tensors by their path: keys, attributes and
/// indices with dots between.
///
/// The names of a pickled module are those of its `state_dict()`: the dictionaries `_parameters`,
/// `_buffers` and `_modules` leave no trace in them.
struct TorchWalk {
  private(set) var tensors: [(name: String, tensor: TorchTensor)] = []
  private(set) var attributes: [String: String] = [:]
  private(set) var notes: [String] = []
  private(set) var refusals: [TensorRefusal] = []

  private let tree: PickleTree
  private let reader: TorchTensorReader
  private var path: [String] = []
  /// The bytes of the path, and of the names that were kept of tensors and attributes.
  private var pathBytes = 0
  private var keptBytes = (tensors: 0, attributes: 0)
  private var active: Set<PickleNode> = []
  /// Containers in which nothing was found: another path to them would find as little.
  private var barren: Set<PickleNode> = []
  private var visits = 0
  /// The tensors that were made, by their nodes: tied ones are met again and again.
  private var made: [PickleNode: TorchTensor] = [:]
  private var names: Set<String> = []
  private var omittedAttributes = 0
  private var omittedNotes = 0
  /// Runs of bytes outside of arrays: how many, and how long together.
  private var rawBytes = (runs: 0, bytes: 0)

  /// The most values that are visited; one that is shared is visited each time.
  private static let visitLimit = 1 << 20
  private static let depthLimit = 200
  /// How many names tensors may have: tied ones have a few each, values nested to harm millions.
  private static let nameLimits = (base: 4096, each: 64)
  private static let attributeLimit = 4096
  /// The most bytes of one name and of all: keys may be long, and shared by every path.
  private static let nameByteLimits = (one: 1 << 16, all: 64 << 20)
  private static let noteLimit = 100
  private static let refusalLimit = 4096
  /// Fewer bytes than these in an object of an unknown class are a date or an identifier, no weights.
  private static let fewBytes = 16

  /// Finds everything in a tree.
  init(_ tree: PickleTree, storages: any TorchStorages, under prefix: [String] = []) throws {
    self.tree = tree
    reader = TorchTensorReader(tree: tree, storages: storages)
    path = prefix
    try visit(tree.root)
    if omittedAttributes > 0 {
      notes.append("\(omittedAttributes) more values that are no tensors are not shown")
    }
    if rawBytes.runs > 0 {
      notes.append(
        "\(rawBytes.runs) runs of bytes (\(rawBytes.bytes) bytes) are no tensors: not read"
      )
    }
    if omittedNotes > 0 { notes.append("\(omittedNotes) more notes") }
  }

  private var name: String {
    pathBytes <= TorchWalk.nameByteLimits.one
      ? path.joined(separator: ".") : "a name of \(pathBytes) bytes"
  }

  private func refusal(_ cause: String) -> TesseraError {
    TesseraError.malformed(cause, file: tree.region.name, place: name)
  }

  private mutating func visit(_ node: PickleNode) throws {
    visits += 1
    guard visits <= TorchWalk.visitLimit else {
      throw refusal("more than \(TorchWalk.visitLimit) values, counted once for each path to them")
    }
    if let tensor = made[node] { return try add(tensor) }
    switch try reader.find(node) {
    case .tensor(let tensor):
      made[node] = tensor
      try add(tensor)
    case .unreadable(let reason): try refuse(reason)
    case .wrapped(let inner): try descend(from: node) { walk in try walk.visit(inner) }
    case .parts(let parts, let note):
      add { "\($0.name): \(note)" }
      try descend(from: node) { walk in
        for (name, part) in parts { try walk.visit(part, named: name) }
      }
    case .passedOver(let what): add { "\($0.name): \(what)" }
    case .other: try visitContents(of: node)
    }
  }

  private mutating func visit(_ node: PickleNode, named component: String) throws {
    try enter(component) { walk in try walk.visit(node) }
  }

  /// A part of a value; the value itself has no name of its own.
  private mutating func visit(_ part: TorchPart, named component: String) throws {
    switch part {
    case .tensor(let tensor) where component.isEmpty: try add(tensor)
    case .tensor(let tensor): try enter(component) { walk in try walk.add(tensor) }
    case .state(let node): try visitState(node)
    case .node(let node) where component.isEmpty: try visit(node)
    case .node(let node): try visit(node, named: component)
    }
  }

  private mutating func enter(
    _ component: String,
    _ body: (inout TorchWalk) throws -> Void
  ) throws {
    path.append(component)
    pathBytes += component.utf8.count + 1
    defer {
      path.removeLast()
      pathBytes -= component.utf8.count + 1
    }
    try body(&self)
  }

  /// Goes one level down; what contains itself is not entered again.
  private mutating func descend(
    from node: PickleNode,
    _ body: (inout TorchWalk) throws -> Void
  ) throws {
    guard !barren.contains(node), active.insert(node).inserted else { return }
    defer { active.remove(node) }
    guard active.count <= TorchWalk.depthLimit else { throw refusal("values nest too deeply") }
    let before = (tensors.count, refusals.count, notes.count)
    try body(&self)
    if before == (tensors.count, refusals.count, notes.count) { barren.insert(node) }
  }

  private mutating func visitContents(of node: PickleNode) throws {
    switch tree[node] {
    case .dictionary:
      try descend(from: node) { walk in try walk.visit(walk.tree.entries(node) ?? []) }
    case .list(let nodes), .tuple(let nodes), .set(let nodes):
      // Without room for another text, a look at the elements finds that nothing is there, once.
      if attributes.count < TorchWalk.attributeLimit, let text = PickleText.list(node, in: tree) {
        return show(text)
      }
      try descend(from: node) { walk in try walk.visit(nodes) }
    case .record(let record):
      if let text = PickleText.scalar(node, in: tree) { return show(text) }
      try descend(from: node) { walk in try walk.visit(record, at: node) }
    case .bytes(let range): passOver(bytes: range.count)
    case .none, .longText, .wideInteger, .global, .persistent: break
    default:
      if let text = PickleText.scalar(node, in: tree) { show(text) } else { omittedAttributes += 1 }
    }
  }

  private mutating func visit(_ nodes: [PickleNode]) throws {
    for (index, node) in nodes.enumerated() { try visit(node, named: String(index)) }
  }

  private mutating func visit(_ entries: [PickleEntry]) throws {
    for (index, entry) in entries.enumerated() {
      try visit(entry.value, named: PickleText.component(entry.key, in: tree) ?? "#\(index)")
    }
  }

  private mutating func passOver(bytes count: Int) {
    rawBytes.runs += 1
    rawBytes.bytes += count
  }

  // MARK: Records

  private mutating func visit(_ record: PickleRecord, at node: PickleNode) throws {
    let className = tree.global(record.constructor)
    if className?.name == "_reconstruct_persistent_obj" { return try visitPersistent(record) }
    if className?.name == "OrderedDict" || className?.name == "defaultdict" {
      try visit(tree.entries(node) ?? [])
      // `_metadata` are the versions of modules; what else was hung on is a value like others.
      let state = record.state.flatMap(tree.entries) ?? []
      return try visit(state.filter { tree.text($0.key) != "_metadata" })
    }
    if className?.description == "_codecs.encode" {
      return passOver(bytes: try NumpyPickle(tree: tree).rawBytes(node)?.byteCount ?? 0)
    }
    if let className, let count = hiddenBytes(in: record, of: className) {
      return try refuse(
        "holds \(count) bytes whose meaning \(className) alone knows; save its arrays"
      )
    }
    if !record.entries.isEmpty { try visit(tree.entries(node) ?? []) }
    if !record.elements.isEmpty { try visit(record.elements) }
    if let state = record.state {
      try visitState(state)
    } else if record.entries.isEmpty, record.elements.isEmpty,
      case .tuple(let arguments) = tree[record.arguments]
    {
      try visitArguments(arguments)
    }
  }

  /// The bytes that an object of an unknown class keeps for itself; nil where there are none to speak of.
  private func hiddenBytes(in record: PickleRecord, of name: PickleGlobal) -> Int? {
    if TorchGlobals.isKnown(name) || TorchGlobals.keepsPlainBytes(name) { return nil }
    var values: [PickleNode] = []
    if case .tuple(let arguments) = tree[record.arguments] { values += arguments }
    if let state = record.state {
      values.append(state)
      switch tree[state] {
      case .dictionary(let entries): values += entries.prefix(64).map(\.value)
      case .tuple(let nodes), .list(let nodes): values += nodes.prefix(64)
      default: break
      }
    }
    var count = 0
    for value in values.prefix(256) {
      switch tree[value] {
      case .bytes(let range): count += range.count
      case .record(let inner):
        guard let function = tree.global(inner.constructor)?.description,
          ["_codecs.encode", "builtins.bytearray", "builtins.bytes"].contains(function),
          let bytes = try? NumpyPickle(tree: tree).rawBytes(value)
        else { break }
        count += bytes.byteCount
      default: break
      }
    }
    return count >= TorchWalk.fewBytes ? count : nil
  }

  /// What a call is given; plain values of calls are no news.
  private mutating func visitArguments(_ arguments: [PickleNode]) throws {
    for (index, argument) in arguments.enumerated() {
      switch tree[argument] {
      case .dictionary, .list, .tuple, .record, .persistent, .set:
        // A lone container is what the class is made of: `Counter({…})`.
        if arguments.count == 1 {
          try visit(argument)
        } else {
          try visit(argument, named: String(index))
        }
      default: break
      }
    }
  }

  private mutating func visitState(_ state: PickleNode) throws {
    // (fields, slots), either of them None.
    if case .tuple(let parts) = tree[state], parts.count == 2,
      parts.allSatisfy({ tree[$0] == .none || tree.entries($0) != nil })
    {
      for part in parts { try visitFields(of: part) }
    } else {
      try visitFields(of: state)
    }
  }

  private mutating func visitFields(of state: PickleNode) throws {
    guard let fields = tree.entries(state) else { return try visit(state) }
    let inner = ["_parameters", "_buffers", "_modules"]
    let isModule = fields.contains { tree.text($0.key).map(inner.contains) ?? false }
    guard isModule else { return try visit(fields) }
    for part in inner {
      guard let entries = tree.field(part, of: state).flatMap(tree.entries) else { continue }
      try visit(entries)
    }
    try visit(fields.filter { !(tree.text($0.key).map(inner.contains) ?? false) })
  }

  /// A class that carries its own source (EDM, StyleGAN): a description and a state.
  ///
  /// The source is text here, and stays text.
  private mutating func visitPersistent(_ record: PickleRecord) throws {
    guard case .tuple(let arguments) = tree[record.arguments], let meta = arguments.first else {
      throw refusal("a persistent class without its description")
    }
    let fields = tree.entries(meta) ?? tree.record(meta)?.state.flatMap(tree.entries) ?? []
    for field in fields {
      switch tree.text(field.key) {
      case "state": try visitState(field.value)
      case "class_name":
        let source = fields.first { tree.text($0.key) == "module_src" }?.value
        let size = source.flatMap(tree.text)?.utf8.count ?? 0
        let shown = PickleText.scalar(field.value, in: tree) ?? "?"
        add { "'\($0.name)' is a record of class \(shown); its source (\(size) bytes) is not run" }
        path.append("class_name")
        show(shown)
        path.removeLast()
      case "type", "module_src", "version": break
      default: try visit(field.value, named: PickleText.component(field.key, in: tree) ?? "?")
      }
    }
  }

  // MARK: Results

  private mutating func add(_ tensor: TorchTensor) throws {
    guard tensors.count < TorchWalk.nameLimits.base + TorchWalk.nameLimits.each * made.count else {
      throw refusal("\(tensors.count) paths lead to \(made.count) tensors: shared beyond measure")
    }
    keptBytes.tensors += pathBytes
    guard pathBytes <= TorchWalk.nameByteLimits.one,
      keptBytes.tensors <= TorchWalk.nameByteLimits.all
    else { throw refusal("the names of tensors are too long") }
    // A tensor that was saved by itself has no path.
    var name = path.isEmpty ? "tensor" : self.name
    if !names.insert(name).inserted {
      // {'a.b': …, 'a': {'b': …}}: both stay, the later one with a number.
      var number = 2
      while !names.insert("\(name)#\(number)").inserted { number += 1 }
      add { [name] _ in
        "two tensors are called '\(name)': the later one is '\(name)#\(number)' here"
      }
      name += "#\(number)"
    }
    tensors.append((name, tensor))
  }

  private mutating func refuse(_ reason: String) throws {
    // Each must be known by its name, or leaving some out would hide the others.
    keptBytes.tensors += pathBytes
    guard refusals.count < TorchWalk.refusalLimit, pathBytes <= TorchWalk.nameByteLimits.one,
      keptBytes.tensors <= TorchWalk.nameByteLimits.all
    else {
      throw refusal("more than \(TorchWalk.refusalLimit) values that are not read")
    }
    refusals.append(TensorRefusal(name.isEmpty ? "tensor" : name, reason))
  }

  /// Adds a sentence, which is made only where there is room: names in it may be long.
  private mutating func add(note: (TorchWalk) -> String) {
    if notes.count < TorchWalk.noteLimit { notes.append(note(self)) } else { omittedNotes += 1 }
  }

  private mutating func show(_ text: String) {
    if attributes.count < TorchWalk.attributeLimit, pathBytes <= TorchWalk.nameByteLimits.one,
      keptBytes.attributes + pathBytes <= TorchWalk.nameByteLimits.all
    {
      keptBytes.attributes += pathBytes
      attributes[name.isEmpty ? "value" : name] = text
    } else {
      omittedAttributes += 1
    }
  }
}
