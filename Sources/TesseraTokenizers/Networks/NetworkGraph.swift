package import TesseraCore

/// A convolutional network as a value: layers in the order in which they run.
///
/// Input and output are channels last, [height, width, channels] in float32. A Haar transform may stand in
/// front (`inputPatch`) and its inverse at the end (`outputPatch`), as in the Cosmos tokenizers: each step
/// turns 2x2 positions into 4 times the channels, bands LL, LH, HL, HH, each a signed mean.
package struct NetworkGraph: Hashable, Sendable {
  /// The number of channels of the input, before the Haar transform.
  package let inputChannels: Int
  /// The extent of the blocks that the Haar transform in front takes: 1 for none, 2, 4, 8.
  package let inputPatch: Int
  /// The layers.
  package let layers: [NetworkLayer]
  /// The extent of the blocks that the inverse Haar transform at the end gives.
  package let outputPatch: Int
  /// The number of channels of the output, after the inverse Haar transform.
  package let outputChannels: Int

  /// Creates a graph whose layers fit together.
  ///
  /// - Throws: `invalidGraph` with the first layer that does not take what the one before gives, or that
  ///   the kernels cannot compute.
  package init(
    inputChannels: Int,
    inputPatch: Int = 1,
    layers: [NetworkLayer],
    outputPatch: Int = 1
  ) throws(TesseraError) {
    for patch in [inputPatch, outputPatch] where ![1, 2, 4, 8].contains(patch) {
      throw .invalidGraph(layer: "patch of \(patch)", reason: "only 1, 2, 4 and 8 are Haar patches")
    }
    var channels = inputChannels * inputPatch * inputPatch
    var condition: Int?
    for layer in layers {
      channels = try layer.check(channels, condition: &condition)
    }
    guard layers.count(where: { $0.scaling > 0 }) <= 5,
      layers.count(where: { $0.scaling < 0 }) <= 8
    else {
      throw .invalidGraph(
        layer: "resampling",
        reason: "more than 5 doublings or 8 halvings of the extents"
      )
    }
    guard channels.isMultiple(of: outputPatch * outputPatch) else {
      throw .invalidGraph(
        layer: "patch of \(outputPatch)",
        reason: "\(channels) channels are not a multiple of \(outputPatch * outputPatch)"
      )
    }
    (self.inputChannels, self.inputPatch, self.layers) = (inputChannels, inputPatch, layers)
    self.outputPatch = outputPatch
    outputChannels = channels / (outputPatch * outputPatch)
  }

  /// The same graph with a function of each value after its layers.
  func followed(by activation: Activation) throws(TesseraError) -> NetworkGraph {
    try NetworkGraph(
      inputChannels: inputChannels,
      inputPatch: inputPatch,
      layers: layers + [.activation(activation)],
      outputPatch: outputPatch
    )
  }

  /// Every tensor that the network needs, in the order of the layers.
  package var parameters: [NetworkParameter] {
    layers.flatMap(\.parameters)
  }

  /// The largest height or width of an input.
  package static let largestExtent = 1 << 16

  /// What height and width must be multiples of.
  package var inputMultiple: Int {
    layers.reduce(inputPatch) { product, layer in layer.scaling < 0 ? product * 2 : product }
  }

  /// The output's extents for an input of `height` x `width` positions.
  ///
  /// - Throws: `extents` where height or width is not a positive multiple of `inputMultiple`, or above
  ///   `largestExtent`.
  package func outputExtents(
    height: Int,
    width: Int
  ) throws(TesseraError) -> (height: Int, width: Int) {
    let multiple = inputMultiple
    for extent in [height, width]
    where extent < 1 || extent > Self.largestExtent || !extent.isMultiple(of: multiple) {
      throw .extents(height: height, width: width, multiple: multiple)
    }
    func extent(_ input: Int) -> Int {
      layers.reduce(input / inputPatch) { $1.extent($0) } * outputPatch
    }
    return (extent(height), extent(width))
  }

  /// The multiply-adds of all convolutions and attention products, counted as direct convolutions.
  package func multiplyAdds(height: Int, width: Int) -> Int {
    WorkspaceLayout(NetworkPlan(self), of: self, height: height, width: width)
      .steps.reduce(0) { $0 + $1.multiplyAdds }
  }
}

extension NetworkLayer {
  /// Throws where the layer does not take `channels`, or its parts do not fit together.
  ///
  /// - Parameters:
  ///   - channels: What arrives.
  ///   - condition: The channels of the condition, where there is one.
  /// - Returns: The channels that it gives.
  /// - Throws: `invalidGraph`.
  fileprivate func check(_ channels: Int, condition: inout Int?) throws(TesseraError) -> Int {
    switch self {
    case .convolution(let convolution):
      try convolution.check(channels)
    case .normalization(let normalization):
      try normalization.check(channels, condition: condition)
    case .scaling(let scaling):
      try Self.compare(scaling.channels, channels, scaling.name)
    case .activation, .pooling, .upsampling:
      break
    case .residual(let block):
      try block.check(channels, condition: &condition)
    case .attention(let block):
      try block.normalization.check(channels, condition: condition)
      for convolution in [block.query, block.key, block.value, block.output] {
        try convolution.check(channels)
      }
    case .condition(let layers):
      var result = channels
      for layer in layers {
        guard layer.scaling == 0 else {
          throw .invalidGraph(layer: "condition", reason: "changes the extents")
        }
        if case .residual(let block) = layer, block.shortcut != nil {
          throw .invalidGraph(layer: "condition", reason: "has a shortcut")
        }
        var none: Int?
        result = try layer.check(result, condition: &none)
      }
      condition = result
    }
    return outputChannels(for: channels)
  }

  fileprivate static func compare(
    _ taken: Int,
    _ given: Int,
    _ name: String
  ) throws(TesseraError) {
    guard taken == given else {
      throw .invalidGraph(layer: name, reason: "takes \(taken) channels, but \(given) arrive")
    }
  }
}

extension ResidualBlock {
  fileprivate func check(_ channels: Int, condition: inout Int?) throws(TesseraError) {
    var result = channels
    let name = body.lazy.flatMap(\.convolutions).first?.name ?? "residual block"
    for layer in body {
      switch layer {
      case .convolution, .normalization, .scaling, .activation: break
      case .pooling, .upsampling, .residual, .attention, .condition:
        throw .invalidGraph(layer: name, reason: "a residual block of blocks")
      }
      guard layer.scaling == 0 else {
        throw .invalidGraph(layer: name, reason: "changes the extents")
      }
      result = try layer.check(result, condition: &condition)
    }
    guard body.count > 1 else {
      throw .invalidGraph(layer: name, reason: "has fewer than two layers")
    }
    if let shortcut {
      try shortcut.check(channels)
      try NetworkLayer.compare(result, shortcut.outputChannels, shortcut.name)
    } else {
      try NetworkLayer.compare(result, channels, name)
    }
  }
}

extension Convolution {
  fileprivate func check(_ channels: Int) throws(TesseraError) {
    try NetworkLayer.compare(inputChannels, channels, name)
    guard inputChannels > 0, outputChannels > 0, max(inputChannels, outputChannels) <= 1 << 16
    else { throw .invalidGraph(layer: name, reason: "channels must be 1 ... 65536") }
  }
}

extension GroupNormalization {
  fileprivate func check(_ channels: Int, condition: Int?) throws(TesseraError) {
    try NetworkLayer.compare(self.channels, channels, name)
    guard groups > 0, channels.isMultiple(of: groups) else {
      throw .invalidGraph(
        layer: name,
        reason: "\(channels) channels do not divide into \(groups) groups"
      )
    }
    for convolution in convolutions {
      guard let condition else {
        throw .invalidGraph(layer: convolution.name, reason: "no condition comes before it")
      }
      try convolution.check(condition)
      try NetworkLayer.compare(convolution.outputChannels, channels, convolution.name)
    }
  }
}
