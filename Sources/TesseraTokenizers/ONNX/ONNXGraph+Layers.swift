import TesseraCore

/// Layers of a network as nodes, channels first: [batch, channels, height, width].
extension ONNXGraph {
  /// The layers one after the other.
  mutating func append(_ layers: [NetworkLayer], to input: Value) throws(TesseraError) -> Value {
    var value = input
    for layer in layers { value = try append(layer, to: value) }
    return value
  }

  private mutating func append(_ layer: NetworkLayer, to input: Value) throws(TesseraError) -> Value
  {
    switch layer {
    case .convolution(let convolution): return append(convolution, to: input)
    case .normalization(let normalization): return try append(normalization, to: input)
    case .scaling(let scaling):
      let result = affine(scaling.name, scaling.channels, to: input)
      return scaling.activates ? silu(result) : result
    case .activation(let activation):
      switch activation {
      case .relu: return node("Relu", [input])
      case .tanh: return node("Tanh", [input])
      case .sigmoid: return node("Sigmoid", [input])
      case .silu: return silu(input)
      }
    case .pooling(let pooling):
      let operation = pooling == .average ? "AveragePool" : "MaxPool"
      return node(
        operation,
        [input],
        [("kernel_shape", .integers([2, 2])), ("strides", .integers([2, 2]))]
      )
    case .upsampling: return doubled(input)
    case .residual(let block):
      let result = try append(block.body, to: input)
      let shortcut = block.shortcut.map { append($0, to: input) } ?? input
      return node("Add", [shortcut, result])
    case .attention(let block): return try append(block, to: input)
    case .condition:
      throw TesseraError.mismatch(
        "normalizations that depend on a condition are not written as ONNX"
      )
    }
  }

  mutating func silu(_ input: Value) -> Value {
    node("Mul", [input, node("Sigmoid", [input])])
  }

  /// x · gain + bias, one per channel.
  private mutating func affine(_ name: String, _ channels: Int, to input: Value) -> Value {
    var result = input
    for (operation, parameter) in [("Mul", "\(name).weight"), ("Add", "\(name).bias")] {
      let values = self.parameter(parameter, shape: [channels])
      let shape = integers("shape.channels", [1, -1, 1, 1])
      result = node(operation, [result, node("Reshape", [values, shape])])
    }
    return result
  }

  /// A convolution, with what stands before or after it.
  mutating func append(_ convolution: Convolution, to input: Value) -> Value {
    var value = input
    if convolution.geometry == .doubling { value = doubled(value) }
    let parameters = convolution.parameters.map {
      parameter($0.name, shape: $0.shape.dimensions)
    }
    let kernel = convolution.kernel
    var (stride, pads) = (1, [Int](repeating: kernel / 2, count: 4))
    switch convolution.geometry {
    case .pointwise, .same, .sameSeven, .doubling, .doublingShuffled: break
    case .halving: (stride, pads) = (2, [0, 0, 1, 1])
    case .halvingSymmetric, .halvingFour, .doublingTransposed:
      (stride, pads) = (2, [1, 1, 1, 1])
    }
    let isTransposed = convolution.geometry == .doublingTransposed
    let result = node(
      isTransposed ? "ConvTranspose" : "Conv",
      [value] + parameters,
      [
        ("kernel_shape", .integers([kernel, kernel])), ("strides", .integers([stride, stride])),
        ("pads", .integers(pads)),
      ]
    )
    guard convolution.geometry == .doublingShuffled else { return result }
    return node("DepthToSpace", [result], [("blocksize", .integer(2)), ("mode", .text("DCR"))])
  }

  /// Twice the extents, each position four times.
  private mutating func doubled(_ input: Value) -> Value {
    let scales = floats("scales.doubled", [1, 1, 2, 2], shape: [4])
    return node(
      "Resize",
      [input, "", scales],
      [
        ("mode", .text("nearest")), ("coordinate_transformation_mode", .text("asymmetric")),
        ("nearest_mode", .text("floor")),
      ]
    )
  }

  /// GroupNorm, which opset 17 lacks: InstanceNorm of the groups.
  private mutating func append(
    _ normalization: GroupNormalization,
    to input: Value
  ) throws(TesseraError) -> Value {
    guard case .none = normalization.modulation else {
      throw TesseraError.mismatch(
        "normalizations that depend on a condition are not written as ONNX"
      )
    }
    let (channels, groups) = (normalization.channels, normalization.groups)
    let shape = node("Shape", [input])
    var value = input
    if normalization.isInterleaved { value = swapped(value, shape, channels / groups, groups) }
    value = node("Reshape", [value, integers("shape.groups.\(groups)", [0, groups, -1])])
    let ones = floats("ones.\(groups)", [Float](repeating: 1, count: groups), shape: [groups])
    let zeros = floats("zeros.\(groups)", [Float](repeating: 0, count: groups), shape: [groups])
    value = node(
      "InstanceNormalization",
      [value, ones, zeros],
      [("epsilon", .number(Float(normalization.epsilon)))]
    )
    value = node("Reshape", [value, shape])
    if normalization.isInterleaved { value = swapped(value, shape, groups, channels / groups) }
    value = affine(normalization.name, channels, to: value)
    return normalization.activates ? silu(value) : value
  }

  /// Channels as [outer, inner] in the order [inner, outer].
  private mutating func swapped(
    _ input: Value,
    _ shape: Value,
    _ outer: Int,
    _ inner: Int
  ) -> Value {
    let split = integers("shape.split.\(outer).\(inner)", [0, outer, inner, -1])
    let parts = node("Reshape", [input, split])
    let turned = node("Transpose", [parts], [("perm", .integers([0, 2, 1, 3]))])
    return node("Reshape", [turned, shape])
  }

  private mutating func append(
    _ block: AttentionBlock,
    to input: Value
  ) throws(TesseraError) -> Value {
    let normalized = try append(block.normalization, to: input)
    let channels = block.query.outputChannels
    let shape = node("Shape", [normalized])
    let flat = integers("shape.flat.\(channels)", [0, channels, -1])
    let turn: [(String, Attribute)] = [("perm", .integers([0, 2, 1]))]
    func rows(_ graph: inout ONNXGraph, _ convolution: Convolution) -> Value {
      let value = graph.append(convolution, to: normalized)
      return graph.node("Reshape", [value, flat])
    }
    let query = node("Transpose", [rows(&self, block.query)], turn)
    let key = rows(&self, block.key)
    let value = rows(&self, block.value)
    let scale = floats(
      "scale.\(channels)",
      [Float(1 / Double(channels).squareRoot())],
      shape: []
    )
    let scores = node("Mul", [node("MatMul", [query, key]), scale])
    let weights = node("Transpose", [node("Softmax", [scores], [("axis", .integer(-1))])], turn)
    let result = node("Reshape", [node("MatMul", [value, weights]), shape])
    return node("Add", [input, append(block.output, to: result)])
  }

  /// The Haar transform in front: a convolution of stride 2 for each doubling of `patch`.
  mutating func haar(_ patch: Int, channels: Int, to input: Value) -> Value {
    // For [a b; c d] the bands are signed quarters: LL, LH, HL, HH, each of all channels.
    let signs: [[Float]] = [[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]
    var (value, width, rest) = (input, channels, patch)
    while rest > 1 {
      var weights = [Float](repeating: 0, count: 4 * width * width * 4)
      for band in 0..<4 {
        for channel in 0..<width {
          let start = ((band * width + channel) * width + channel) * 4
          for tap in 0..<4 { weights[start + tap] = signs[band][tap] / 4 }
        }
      }
      let name = floats("haar.\(width)", weights, shape: [4 * width, width, 2, 2])
      value = node(
        "Conv",
        [value, name],
        [("kernel_shape", .integers([2, 2])), ("strides", .integers([2, 2]))]
      )
      width *= 4
      rest /= 2
    }
    return value
  }
}
