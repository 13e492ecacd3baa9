import TesseraCore

/// One pass over the messages of a model.
struct ONNXModel {
  private(set) var table: StoredTensorTable
  private let region: FileRegion
  /// The nodes and functions around what is read, outermost first.
  private var scopes: [String] = []
  private var omittedNotes = 0

  /// The deepest nesting of graphs in nodes.
  private static let depthLimit = 32
  private static let limits = (notes: 100, refusals: 4096)

  init(_ region: FileRegion) {
    self.region = region
    table = StoredTensorTable(file: region.name)
  }

  private func refusal(_ place: String, _ cause: String) -> TesseraError {
    TesseraError.malformed(cause, file: region.name, place: place)
  }

  mutating func readAll() throws {
    var fields = WireFields(region, 0..<region.length)
    var hasGraph = false
    while let (field, value) = try fields.next() {
      switch (field, value) {
      case (1, .number(let version)): table.found.attributes["ir_version"] = String(version)
      case (2, .bytes(let text)): table.found.attributes["producer_name"] = try self.text(text)
      case (3, .bytes(let text)): table.found.attributes["producer_version"] = try self.text(text)
      case (5, .number(let version)): table.found.attributes["model_version"] = String(version)
      case (7, .bytes(let graph)):
        hasGraph = true
        try readGraph(graph)
      case (14, .bytes(let entry)): try readMetadata(entry)
      case (20, .bytes(let training)): try readTraining(training)
      case (25, .bytes(let function)): try readFunction(function)
      case (1, _), (2, _), (3, _), (5, _), (7, _), (14, _), (20, _), (25, _):
        throw refusal("model", "field \(field) has the wrong kind of value")
      default: break
      }
    }
    guard hasGraph else { throw refusal("model", "has no graph: no ONNX model") }
    if omittedNotes > 0 { table.found.remarks.append("\(omittedNotes) more notes") }
  }

  private func text(_ range: Range<Int>) throws -> String { try ONNXTensor.text(region, range) }

  private mutating func add(note: String) {
    if table.found.remarks.count < Self.limits.notes {
      table.found.remarks.append(note)
    } else {
      omittedNotes += 1
    }
  }

  private mutating func readMetadata(_ range: Range<Int>) throws {
    var fields = WireFields(region, range)
    var (key, text) = ("", "")
    while let (field, value) = try fields.next() {
      guard case .bytes(let bytes) = value, bytes.count <= 1 << 16 else { continue }
      if field == 1 { key = try self.text(bytes) }
      if field == 2 { text = try self.text(bytes) }
    }
    table.found.attributes[key] = text
  }

  // MARK: Graphs

  private mutating func readGraph(_ range: Range<Int>) throws {
    guard scopes.count < Self.depthLimit else { throw refusal("graph", "graphs nest too deeply") }
    var fields = WireFields(region, range)
    while let (field, value) = try fields.next() {
      switch (field, value) {
      case (1, .bytes(let node)): try readNode(node)
      case (2, .bytes(let name)) where scopes.isEmpty:
        table.found.attributes["graph"] = try text(name)
      case (2, .bytes): break
      case (5, .bytes(let tensor)): try add(ONNXTensor(region, tensor))
      case (15, .bytes(let sparse)): try addSparse(sparse, named: nil)
      case (1, _), (2, _), (5, _), (15, _):
        throw refusal("graph", "field \(field) has the wrong kind of value")
      default: break
      }
    }
  }

  /// `TrainingInfoProto`: graphs that initialise and that train.
  private mutating func readTraining(_ range: Range<Int>) throws {
    var fields = WireFields(region, range)
    while let (field, value) = try fields.next() {
      guard case .bytes(let graph) = value, field == 1 || field == 2 else { continue }
      try inside("training") { model in try model.readGraph(graph) }
    }
  }

  /// `FunctionProto`: its name, then its nodes.
  private mutating func readFunction(_ range: Range<Int>) throws {
    var fields = WireFields(region, range)
    var name = "function"
    var nodes: [Range<Int>] = []
    while let (field, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      if field == 1 { name = try text(bytes) }
      if field == 7 { nodes.append(bytes) }
    }
    try inside(name) { model in
      for node in nodes { try model.readNode(node) }
    }
  }

  private mutating func inside(
    _ scope: String,
    _ body: (inout ONNXModel) throws -> Void
  ) throws {
    scopes.append(scope)
    defer { scopes.removeLast() }
    try body(&self)
  }

  /// Reads what the attributes of a node hold: tensors, and graphs with tensors.
  private mutating func readNode(_ range: Range<Int>) throws {
    var fields = WireFields(region, range)
    var node = ONNXNode()
    var attributes: [Range<Int>] = []
    while let (field, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      switch field {
      case 2 where node.output.isEmpty: node.output = try text(bytes)
      case 3: node.name = try text(bytes)
      case 4: node.operation = try text(bytes)
      case 5: attributes.append(bytes)
      case 7: node.domain = try text(bytes)
      default: break
      }
    }
    for attribute in attributes {
      try read(ONNXAttribute(region, attribute), of: node)
    }
  }

  private mutating func read(_ attribute: ONNXAttribute, of node: ONNXNode) throws {
    let name = node.tensorName(of: attribute.name)
    for (index, tensor) in attribute.tensors.enumerated() {
      let numbered = attribute.tensors.count > 1 ? "\(name).\(index)" : name
      let read = try ONNXTensor(region, tensor)
      if node.operation == "ConstantOfShape" {
        add(note: "\(numbered): the value that a ConstantOfShape fills with, no weight")
      } else {
        try add(read, named: numbered)
      }
    }
    for (index, sparse) in attribute.sparseTensors.enumerated() {
      let isOne = attribute.sparseTensors.count == 1
      try addSparse(sparse, named: isOne ? name : "\(name).\(index)")
    }
    for graph in attribute.graphs {
      try inside("\(node.label).\(attribute.name)") { model in try model.readGraph(graph) }
    }
    try readNumbers(attribute, of: node, named: name)
  }

  /// Numbers in an attribute: the values of a Constant, the weights of classical models.
  private mutating func readNumbers(
    _ attribute: ONNXAttribute,
    of node: ONNXNode,
    named name: String
  ) throws {
    let isConstant = node.operation == "Constant" && node.domain.isEmpty
    if !attribute.strings.isEmpty, isConstant {
      add(note: "\(name): strings, no tensor")
    }
    guard isConstant || node.domain.hasPrefix("ai.onnx.ml") else { return }
    let isList = attribute.name.hasSuffix("s")
    if !attribute.floats.isEmpty {
      let shape: Shape = isConstant && !isList ? [] : [attribute.floats.count]
      add(attribute.floats.flatMap(\.littleEndianBytes), .float32, shape, named: name)
    }
    if !attribute.integers.isEmpty, isConstant || isList {
      let shape: Shape = isConstant && !isList ? [] : [attribute.integers.count]
      add(attribute.integers.flatMap(\.littleEndianBytes), .int64, shape, named: name)
    }
  }

  // MARK: Tensors

  /// The name of a tensor that has none other of its kind; nested ones that clash take the names of
  /// what they are in.
  private mutating func freeName(_ name: String) throws -> String {
    if !table.contains(name) { return name }
    guard !scopes.isEmpty else { throw refusal(name, "two initialisers have this name") }
    let scoped = (scopes + [name]).joined(separator: ".")
    var (free, number) = (scoped, 2)
    while table.contains(free) {
      free = "\(scoped)#\(number)"
      number += 1
    }
    add(note: "two tensors are called '\(name)': the later one is '\(free)' here")
    return free
  }

  private mutating func add(_ tensor: ONNXTensor, named given: String? = nil) throws {
    let given = given ?? tensor.name
    let elementType: ElementType
    switch try tensor.content() {
    case .numbers(let type): elementType = type
    case .strings: return add(note: "\(given): type STRING has no place here, no tensor")
    case .unreadable(let cause):
      guard table.found.refusals.count < Self.limits.refusals else {
        throw refusal(given, "more than \(Self.limits.refusals) tensors are not read")
      }
      return table.found.refusals.append(TensorRefusal(given, cause))
    }
    let name = try freeName(given)
    let (stored, bytes) = try tensor.stored(as: elementType)
    table.add(stored, named: name, in: bytes, identity: name)
  }

  private mutating func add(
    _ bytes: [UInt8],
    _ type: ElementType,
    _ shape: Shape,
    named given: String
  ) {
    guard let name = try? freeName(given) else { return }
    let stored = StoredTensor(elementType: type, shape: shape)
    table.add(stored, named: name, in: .memory(bytes), identity: name)
  }

  /// `SparseTensorProto`: the values, their places (flat, or a row of indices each), the extents.
  private mutating func addSparse(_ range: Range<Int>, named given: String?) throws {
    var fields = WireFields(region, range)
    var (values, indices): (ONNXTensor?, ONNXTensor?)
    var extents: [Int64] = []
    while let (field, value) = try fields.next() {
      switch (field, value) {
      case (1, .bytes(let bytes)): values = try ONNXTensor(region, bytes)
      case (2, .bytes(let bytes)): indices = try ONNXTensor(region, bytes)
      case (3, .number(let extent)): extents.append(Int64(bitPattern: extent))
      case (3, .bytes(let packed)): extents += try ONNXAttribute.integers(region, packed)
      default: break
      }
    }
    guard let values, let indices, extents.count <= 64 else {
      throw refusal(given ?? "sparse tensor", "lacks its values or its indices")
    }
    let name = given ?? values.name
    try add(values, named: "\(name).values")
    try add(indices, named: "\(name).indices")
    add(extents.flatMap(\.littleEndianBytes), .int64, [extents.count], named: "\(name).size")
    add(note: "\(name): a sparse tensor: its values, indices and size")
  }
}

/// What a node is called.
private struct ONNXNode {
  var name = ""
  var output = ""
  var operation = ""
  var domain = ""

  /// The name, or what stands for it.
  var label: String { name.isEmpty ? (output.isEmpty ? operation : output) : name }

  /// The name of a tensor in an attribute: a Constant is called by its output.
  func tensorName(of attribute: String) -> String {
    operation == "Constant" && !output.isEmpty ? output : "\(label).\(attribute)"
  }
}

/// What `AttributeProto` holds, as far as it may be weights.
private struct ONNXAttribute {
  private(set) var name = ""
  private(set) var tensors: [Range<Int>] = []
  private(set) var sparseTensors: [Range<Int>] = []
  private(set) var graphs: [Range<Int>] = []
  /// The bits of numbers of 32 bits.
  private(set) var floats: [UInt32] = []
  private(set) var integers: [Int64] = []
  private(set) var strings: [Range<Int>] = []

  init(_ region: FileRegion, _ range: Range<Int>) throws {
    var fields = WireFields(region, range)
    while let (field, value) = try fields.next() {
      switch (field, value) {
      case (1, .bytes(let text)): name = try ONNXTensor.text(region, text)
      case (2, .fixed(let bytes)), (7, .fixed(let bytes)), (7, .bytes(let bytes)):
        floats += try Self.words(region, bytes)
      case (3, .number(let number)), (8, .number(let number)):
        integers.append(Int64(bitPattern: number))
      case (8, .bytes(let packed)): integers += try Self.integers(region, packed)
      case (4, .bytes(let text)), (9, .bytes(let text)): strings.append(text)
      case (5, .bytes(let tensor)), (10, .bytes(let tensor)): tensors.append(tensor)
      case (6, .bytes(let graph)), (11, .bytes(let graph)): graphs.append(graph)
      case (22, .bytes(let tensor)), (23, .bytes(let tensor)): sparseTensors.append(tensor)
      default: break
      }
    }
  }

  private static func words(_ region: FileRegion, _ range: Range<Int>) throws -> [UInt32] {
    let bytes = try region.bytes(range)
    return stride(from: 0, to: bytes.count - 3, by: 4).map { place in
      (0..<4).reduce(0) { $0 | UInt32(bytes[place + $1]) << UInt32(8 * $1) }
    }
  }

  /// Packed numbers of any length.
  static func integers(_ region: FileRegion, _ range: Range<Int>) throws -> [Int64] {
    var input = ByteInput(
      region: region,
      from: range.lowerBound,
      to: range.upperBound,
      what: "protobuf"
    )
    var numbers: [Int64] = []
    while input.remaining > 0 { numbers.append(Int64(bitPattern: try input.varint())) }
    return numbers
  }
}

extension FixedWidthInteger {
  /// The bytes, lowest first.
  fileprivate var littleEndianBytes: [UInt8] {
    (0..<Self.bitWidth / 8).map { UInt8(truncatingIfNeeded: self >> (8 * $0)) }
  }
}
