internal import TesseraCore

/// An ONNX graph (opset 17) in the making: nodes in order, and the tensors that they read.
struct ONNXGraph {
  /// A value of the graph, by its name.
  typealias Value = String

  /// An attribute of a node.
  enum Attribute {
    case integer(Int)
    case integers([Int])
    case number(Float)
    case text(String)
  }

  /// A constant tensor: small ones are held, weights are asked for when they are written.
  struct Constant {
    enum Source {
      case bytes([UInt8])
      /// A tensor of the checkpoint.
      case parameter(String)
    }

    let name: String
    let elementType: ElementType
    let shape: [Int]
    let source: Source

    var byteCount: Int { shape.reduce(1, *) * elementType.bitWidth / 8 }
  }

  private(set) var nodes: [ProtobufMessage] = []
  private(set) var constants: [Constant] = []
  private var names: Set<String> = []

  /// Appends a node of one output.
  ///
  /// - Returns: The output's name.
  mutating func node(
    _ operation: String,
    _ inputs: [Value],
    _ attributes: [(String, Attribute)] = [],
    output: String? = nil
  ) -> Value {
    node(operation, inputs, attributes, outputs: [output ?? "\(operation)_\(nodes.count)"])[0]
  }

  /// Appends a node of several outputs.
  mutating func node(
    _ operation: String,
    _ inputs: [Value],
    _ attributes: [(String, Attribute)],
    outputs: [String]
  ) -> [Value] {
    var message = ProtobufMessage()
    for input in inputs { message.add(1, input) }
    for output in outputs { message.add(2, output) }
    message.add(3, "\(operation)_\(nodes.count)")
    message.add(4, operation)
    for (name, attribute) in attributes {
      var field = ProtobufMessage()
      field.add(1, name)
      switch attribute {
      case .integer(let value):
        field.add(3, value)
        field.add(20, 2)
      case .integers(let values):
        for value in values { field.add(8, value) }
        field.add(20, 7)
      case .number(let value):
        field.add(2, value)
        field.add(20, 1)
      case .text(let value):
        field.add(4, value)
        field.add(20, 3)
      }
      message.add(5, field)
    }
    nodes.append(message)
    return outputs
  }

  /// A tensor of the checkpoint, under its own name.
  mutating func parameter(_ name: String, shape: [Int]) -> Value {
    add(Constant(name: name, elementType: .float32, shape: shape, source: .parameter(name)))
  }

  /// Float32 values.
  mutating func floats(_ name: String, _ values: [Float], shape: [Int]) -> Value {
    add(name, Tensor(shape: Shape(shape), elements: values))
  }

  /// Int64 values.
  mutating func integers(_ name: String, _ values: [Int], shape: [Int]? = nil) -> Value {
    add(name, Tensor(shape: Shape(shape ?? [values.count]), elements: values.map { Int64($0) }))
  }

  private mutating func add(_ name: String, _ tensor: Tensor) -> Value {
    add(
      Constant(
        name: name,
        elementType: tensor.elementType,
        shape: tensor.shape.dimensions,
        source: .bytes(tensor.bytes)
      )
    )
  }

  private mutating func add(_ constant: Constant) -> Value {
    if names.insert(constant.name).inserted { constants.append(constant) }
    return constant.name
  }
}
