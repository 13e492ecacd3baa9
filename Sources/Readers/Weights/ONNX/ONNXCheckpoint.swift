import Tensors

/// The initialisers of an ONNX model: its weights, without the graph around them.
///
/// Read from the wire by the few fields that matter; a field of the wrong kind is refused. Data in other
/// files are read where these lie in the model's folder.
public struct ONNXCheckpoint: CheckpointReader {
  /// Always `onnx`.
  public let format = "onnx"
  /// Every initialiser, in the file's order.
  public let tensors: [TensorInfo]
  /// The producer, versions and `metadata_props`.
  public let attributes: [String: String]
  /// What was skipped: sparse initialisers, tensors inside of nodes.
  public let notes: [String]
  /// Initialisers of types that have no place here.
  public let refusals: [String]
  /// The file.
  public let files: [String]

  private let table: StoredTensorTable

  /// Opens a model.
  ///
  /// - Parameter path: The file.
  /// - Throws: `FileError` or `CheckpointFormatError`.
  public init(path: String) throws {
    try self.init(region: FileRegion(path: path))
  }

  init(region: FileRegion) throws {
    var model = ONNXModel(region)
    try model.readAll()
    files = [region.name]
    table = model.table
    tensors = model.table.tensors
    attributes = model.attributes
    refusals = model.refusals
    notes = model.refusals + model.notes
  }

  /// Whether a file starts as a model does: `ir_version`, then another field of its.
  static func isONNX(_ start: [UInt8]) -> Bool {
    guard start.count > 2, start[0] == 0x08, (1...0x7F).contains(start[1]) else { return false }
    // producer_name, producer_version, domain, model_version, doc_string, graph, opset_import, …
    return [0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72].contains(start[2])
  }

  /// Reads a range of elements; see `CheckpointReader`.
  public func read(
    _ elements: Range<Int>,
    of tensor: TensorInfo,
    into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    try unsafe table.read(elements, of: tensor, into: buffer)
  }
}

/// One pass over the messages of a model.
private struct ONNXModel {
  private(set) var table: StoredTensorTable
  private(set) var attributes: [String: String] = [:]
  private(set) var notes: [String] = []
  private(set) var refusals: [String] = []
  private let region: FileRegion
  private var constants = 0

  init(_ region: FileRegion) {
    self.region = region
    table = StoredTensorTable(file: region.name)
  }

  private func refusal(_ place: String, _ cause: String) -> CheckpointFormatError {
    CheckpointFormatError(file: region.name, place: place, cause: cause)
  }

  mutating func readAll() throws {
    var fields = WireFields(region, 0..<region.length)
    var hasGraph = false
    while let (field, value) = try fields.next() {
      switch (field, value) {
      case (1, .number(let version)): attributes["ir_version"] = String(version)
      case (2, .bytes(let text)): attributes["producer_name"] = try self.text(text)
      case (3, .bytes(let text)): attributes["producer_version"] = try self.text(text)
      case (5, .number(let version)): attributes["model_version"] = String(version)
      case (7, .bytes(let graph)):
        hasGraph = true
        try readGraph(graph)
      case (14, .bytes(let entry)): try readMetadata(entry)
      case (1, _), (2, _), (3, _), (5, _), (7, _), (14, _):
        throw refusal("model", "field \(field) has the wrong kind of value")
      default: break
      }
    }
    guard hasGraph else { throw refusal("model", "has no graph: no ONNX model") }
    if constants > 0 {
      notes.append("\(constants) nodes hold constants of their own, which are not listed")
    }
  }

  private func text(_ range: Range<Int>) throws -> String { try ONNXTensor.text(region, range) }

  private mutating func readMetadata(_ range: Range<Int>) throws {
    var fields = WireFields(region, range)
    var (key, text) = ("", "")
    while let (field, value) = try fields.next() {
      guard case .bytes(let bytes) = value, bytes.count <= 1 << 16 else { continue }
      if field == 1 { key = try self.text(bytes) }
      if field == 2 { text = try self.text(bytes) }
    }
    attributes[key] = text
  }

  private mutating func readGraph(_ range: Range<Int>) throws {
    var fields = WireFields(region, range)
    while let (field, value) = try fields.next() {
      switch (field, value) {
      case (1, .bytes(let node)): try readNode(node)
      case (2, .bytes(let name)): attributes["graph"] = try text(name)
      case (5, .bytes(let tensor)): try add(ONNXTensor(region, tensor))
      case (15, .bytes): refusals.append("a sparse initialiser, which is not read")
      case (1, _), (2, _), (5, _), (15, _):
        throw refusal("graph", "field \(field) has the wrong kind of value")
      default: break
      }
    }
  }

  /// Counts the nodes that hold a tensor: `op_type` Constant.
  private mutating func readNode(_ range: Range<Int>) throws {
    var fields = WireFields(region, range)
    while let (field, value) = try fields.next() {
      if field == 4, case .bytes(let name) = value, try text(name) == "Constant" { constants += 1 }
    }
  }

  private mutating func add(_ tensor: ONNXTensor) throws {
    let (elementType, reason) = try tensor.elementType()
    guard let elementType else {
      refusals.append("\(tensor.name): \(reason)")
      return
    }
    guard !table.contains(tensor.name) else {
      throw refusal(tensor.name, "two initialisers have this name")
    }
    let (stored, bytes) = try tensor.stored(as: elementType)
    table.add(stored, named: tensor.name, in: bytes, identity: tensor.name)
  }
}
