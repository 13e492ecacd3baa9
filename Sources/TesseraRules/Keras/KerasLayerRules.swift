import TesseraCheckpoints
import TesseraCore

/// What becomes of the variables of one Keras layer in PyTorch.
struct KerasLayerRules {
  /// The module's name: the layer's path with dots.
  let module: String
  let layer: KerasLayer
  /// The order that PyTorch's module takes features in.
  let input: KerasFlow.Input
  private(set) var rules: [ConversionRule] = []
  private(set) var implied: [ImpliedTensor] = []

  /// Makes the rules of a layer.
  ///
  /// - Parameters:
  ///   - layer: The layer with its variables.
  ///   - input: The order that PyTorch's module takes features in.
  /// - Throws: `TesseraError` where PyTorch has no module that computes the same.
  init(_ layer: KerasLayer, input: KerasFlow.Input) throws(TesseraError) {
    (self.layer, self.input) = (layer, input)
    module = KerasLayerRules.moduleName(of: layer)
    try checkTypes()
    switch layer.className {
    case "LSTM", "GRU", "SimpleRNN": try addRecurrent()
    case "LSTMCell", "GRUCell", "SimpleRNNCell": try addRecurrent()
    case "MultiHeadAttention": try addAttention()
    case "BatchNormalization", "LayerNormalization", "GroupNormalization": try addNormalization()
    case "EinsumDense": try addEinsum()
    case "PReLU": try addPReLU()
    default: try addFromTable()
    }
    let used = Set(rules.flatMap { $0.sources.map(\.name) })
    if let lost = layer.variables.first(where: { !used.contains($0.tensor.name) }) {
      throw refusal("its variable '\(lost.role)' has no place in PyTorch's module")
    }
  }

  /// The path with dots; the halves of a Bidirectional layer share one module.
  static func moduleName(of layer: KerasLayer) -> String {
    let isHalf = ["forward_layer", "backward_layer"].contains(layer.path.last)
    let path = isHalf ? Array(layer.path.dropLast()) : layer.path
    return path.map { $0.replacing("/", with: ".") }.joined(separator: ".")
  }

  func refusal(_ cause: String) -> TesseraError {
    let kind = layer.className.isEmpty ? "a layer of unknown class" : layer.className
    return TesseraError.mismatch("\(kind): \(cause)", place: layer.path.joined(separator: "."))
  }

  /// The variable of a role that the layer must have.
  func variable(_ role: String, rank: Int) throws(TesseraError) -> TensorInfo {
    guard let tensor = layer[role] else { throw refusal("has no variable '\(role)'") }
    guard tensor.shape.rank == rank else {
      throw refusal("its '\(role)' has shape \(tensor.shape), not \(rank) axes")
    }
    return tensor
  }

  /// What brings the axis of the input, the first one of `tensor`, into PyTorch's order.
  func ordering(_ tensor: TensorInfo) -> [TensorOperation] {
    switch input {
    case .asIs: return []
    case .pieces(let pieces): return pieces.operations(on: tensor.shape, axis: 0)
    case .channelsFirst:
      let last = tensor.shape.rank - 1
      return last > 0 ? [.permute([last] + Array(0..<last))] : []
    }
  }

  /// Whole numbers in the place of weights are codes whose scales stand elsewhere.
  private func checkTypes() throws(TesseraError) {
    let types = ElementType.castTargets
    guard layer.className != "Normalization",
      let code = layer.variables.first(where: { !types.contains($0.tensor.elementType) })
    else { return }
    throw refusal(
      "its '\(code.role)' is quantized (\(code.tensor.elementType.rawValue)), and codes are no weights; "
        + "save the model before quantize()"
    )
  }

  mutating func add(_ source: TensorInfo, _ operations: [TensorOperation] = [], to name: String) {
    rules.append(ConversionRule(source, operations, to: "\(module).\(name)"))
  }

  mutating func add(_ rule: ConversionRule) { rules.append(rule) }

  mutating func imply(
    _ name: String,
    like tensor: TensorInfo,
    shape: Shape,
    _ value: ImpliedTensor.Value,
    _ reason: String
  ) {
    let result = TensorInfo(
      name: "\(module).\(name)",
      elementType: tensor.elementType,
      shape: shape
    )
    implied.append(ImpliedTensor(tensor: result, value: value, reason: reason))
  }
}

extension KerasLayerRules {
  /// A variable that one permutation brings into PyTorch's layout.
  private struct Entry {
    let role: String
    let axes: [Int]
    let target: String
    /// Whether depth and multiplier, axes 0 and 1 after the permutation, become the output
    /// channels.
    var isDepthwise = false
  }

  /// Kernels are [spatial…, in, out] in Keras and [out, in, spatial…] in PyTorch.
  ///
  /// Transposed convolutions have [spatial…, out, in] and [in, out, spatial…]: the same permutation,
  /// and no flip.
  private static func convolution(_ spatial: Int) -> [Entry] {
    let axes = [spatial + 1, spatial] + Array(0..<spatial)
    return [Entry(role: "kernel", axes: axes, target: "weight")] + bias
  }

  private static let bias = [Entry(role: "bias", axes: [0], target: "bias")]

  private static func depthwise(_ role: String, _ spatial: Int, _ target: String) -> Entry {
    let axes = [spatial, spatial + 1] + Array(0..<spatial)
    return Entry(role: role, axes: axes, target: target, isDepthwise: true)
  }

  private static func separable(_ spatial: Int) -> [Entry] {
    let axes = [spatial + 1, spatial] + Array(0..<spatial)
    return [
      depthwise("depthwise_kernel", spatial, "depthwise.weight"),
      Entry(role: "pointwise_kernel", axes: axes, target: "pointwise.weight"),
      Entry(role: "bias", axes: [0], target: "pointwise.bias"),
    ]
  }

  private static let table: [String: [Entry]] = [
    "Dense": [Entry(role: "kernel", axes: [1, 0], target: "weight")] + bias,
    "Conv1D": convolution(1), "Conv2D": convolution(2), "Conv3D": convolution(3),
    "Conv1DTranspose": convolution(1), "Conv2DTranspose": convolution(2),
    "Conv3DTranspose": convolution(3),
    "DepthwiseConv1D": [depthwise("kernel", 1, "weight")] + bias,
    "DepthwiseConv2D": [depthwise("kernel", 2, "weight")] + bias,
    "SeparableConv1D": separable(1), "SeparableConv2D": separable(2),
    "Embedding": [Entry(role: "embeddings", axes: [0, 1], target: "weight")],
  ]

  private mutating func addFromTable() throws(TesseraError) {
    if layer.className == "RMSNormalization", let scale = layer["scale"] {
      return add(scale, ordering(scale), to: "weight")
    }
    guard let entries = KerasLayerRules.table[layer.className] else {
      let what = layer.variables.map(\.role).joined(separator: ", ")
      throw refusal("no rule gives a PyTorch module for its variables (\(what))")
    }
    for entry in entries where layer[entry.role] != nil || entry.role != "bias" {
      let tensor = try variable(entry.role, rank: entry.axes.count)
      let isOrdered = layer.className == "Dense" && entry.role == "kernel"
      var operations = (isOrdered ? ordering(tensor) : []) + [.permute(entry.axes)]
      if entry.isDepthwise {
        let permuted = Shape(entry.axes.map { tensor.shape[$0] })
        let channels = permuted[0].multipliedReportingOverflow(by: permuted[1]).partialValue
        let merged = Shape([channels, 1] + permuted.dimensions.dropFirst(2))
        operations.append(.reshape(from: permuted, to: merged))
      }
      let isIdentity = entry.axes == Array(0..<entry.axes.count) && !entry.isDepthwise
      add(tensor, isIdentity ? [] : operations, to: entry.target)
    }
  }

  /// Scale and offset of all normalizations, and the moving statistics of BatchNormalization.
  private mutating func addNormalization() throws(TesseraError) {
    if layer.configuration.bool("rms_scaling") == true {
      throw refusal("rms_scaling has no counterpart in torch.nn.LayerNorm")
    }
    let targets = [
      "gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
      "moving_variance": "running_var",
    ]
    for variable in layer.variables {
      guard let target = targets[variable.role] else { continue }
      add(variable.tensor, ordering(variable.tensor), to: target)
    }
    // PyTorch's affine modules have both or none.
    let reason = "Keras has none here, PyTorch's module has"
    if let beta = layer["beta"], layer["gamma"] == nil {
      imply("weight", like: beta, shape: normalizedShape(beta), .one, reason)
    }
    if let gamma = layer["gamma"], layer["beta"] == nil {
      imply("bias", like: gamma, shape: normalizedShape(gamma), .zero, reason)
    }
  }

  /// The shape of what scales in PyTorch's module.
  private func normalizedShape(_ tensor: TensorInfo) -> Shape {
    let extents = tensor.shape.dimensions
    guard input == .channelsFirst, let last = extents.last else { return tensor.shape }
    return Shape([last] + extents.dropLast())
  }

  /// PyTorch has one slope a channel or one for all; axes shared in Keras have an extent of 1.
  private mutating func addPReLU() throws(TesseraError) {
    guard let alpha = layer["alpha"], let count = alpha.shape.elementCount else {
      throw refusal("has no variable 'alpha'")
    }
    guard alpha.shape.dimensions.dropLast().allSatisfy({ $0 == 1 }) else {
      throw refusal("a slope of shape \(alpha.shape); torch.nn.PReLU has one per channel")
    }
    add(alpha, [.reshape(from: alpha.shape, to: [count])] + orderingFlat(count), to: "weight")
  }

  private func orderingFlat(_ count: Int) -> [TensorOperation] {
    guard case .pieces(let pieces) = input, count > 1 else { return [] }
    return pieces.operations(on: [count], axis: 0)
  }

  /// An EinsumDense that maps the last axis to the last axis is a Linear; others are not.
  private mutating func addEinsum() throws(TesseraError) {
    let kernel = try variable("kernel", rank: 2)
    let equation = layer.configuration.text("equation") ?? ""
    let sides = equation.split(separator: "->", maxSplits: 1)
    let operands = sides.first?.split(separator: ",") ?? []
    guard sides.count == 2, operands.count == 2, operands[1].count == 2,
      operands[0].last == operands[1].first, sides[1].last == operands[1].last,
      operands[0].dropLast() == sides[1].dropLast()
    else { throw refusal("the equation '\(equation)' is no product of the last axis alone") }
    add(kernel, ordering(kernel) + [.transpose], to: "weight")
    if layer["bias"] != nil { add(try variable("bias", rank: 1), to: "bias") }
  }
}
