/// A convolutional network as a value: layers in the order in which they run.
///
/// Input and output are channels last, [height, width, channels] in float32. A Haar transform may stand in
/// front (`inputPatch`) and its inverse at the end (`outputPatch`), as in the Cosmos tokenizers: each step
/// turns 2x2 positions into 4 times the channels, bands LL, LH, HL, HH, each a signed mean.
public struct NetworkGraph: Hashable, Sendable {
  /// The number of channels of the input, before the Haar transform.
  public let inputChannels: Int
  /// The extent of the blocks that the Haar transform in front takes: 1 for none, 2, 4, 8.
  public let inputPatch: Int
  /// The layers.
  public let layers: [NetworkLayer]
  /// The extent of the blocks that the inverse Haar transform at the end gives.
  public let outputPatch: Int
  /// The number of channels of the output, after the inverse Haar transform.
  public let outputChannels: Int

  /// Creates a graph whose layers fit together.
  ///
  /// - Throws: `invalidGraph` with the first layer that does not take what the one before gives, or that
  ///   the kernels cannot compute.
  public init(
    inputChannels: Int,
    inputPatch: Int = 1,
    layers: [NetworkLayer],
    outputPatch: Int = 1
  ) throws(NetworkError) {
    for patch in [inputPatch, outputPatch] where ![1, 2, 4, 8].contains(patch) {
      throw .invalidGraph(layer: "patch of \(patch)", reason: "only 1, 2, 4 and 8 are Haar patches")
    }
    var channels = inputChannels * inputPatch * inputPatch
    for layer in layers {
      try layer.check(channels)
      channels = layer.channels.output
    }
    let geometries = layers.flatMap(\.convolutions).map(\.geometry)
    guard geometries.count(where: { $0 == .doubling }) <= 5,
      geometries.count(where: { $0 == .halving || $0 == .halvingSymmetric }) <= 8
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
    self.inputChannels = inputChannels
    self.inputPatch = inputPatch
    self.layers = layers
    self.outputPatch = outputPatch
    outputChannels = channels / (outputPatch * outputPatch)
  }

  /// Every tensor that the network needs, in the order of the layers.
  public var parameters: [NetworkParameter] {
    layers.flatMap { layer in
      layer.normalizations.flatMap(\.parameters) + layer.convolutions.flatMap(\.parameters)
    }
  }

  /// The largest height or width of an input.
  public static let largestExtent = 1 << 16

  /// What height and width must be multiples of.
  public var inputMultiple: Int {
    layers.reduce(inputPatch) { product, layer in
      guard case .convolution(let convolution) = layer else { return product }
      switch convolution.geometry {
      case .halving, .halvingSymmetric: return product * 2
      case .pointwise, .same, .doubling: return product
      }
    }
  }

  /// The output's extents for an input of `height` x `width` positions.
  ///
  /// - Throws: `extents` where height or width is not a positive multiple of `inputMultiple`, or above
  ///   `largestExtent`.
  public func outputExtents(
    height: Int,
    width: Int
  ) throws(NetworkError) -> (height: Int, width: Int) {
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
  public func multiplyAdds(height: Int, width: Int) -> Int {
    var rows = height / inputPatch
    var columns = width / inputPatch
    var sum = 0
    for layer in layers {
      rows = layer.extent(rows)
      columns = layer.extent(columns)
      for convolution in layer.convolutions {
        let taps = convolution.kernel * convolution.kernel
        sum += rows * columns * taps * convolution.inputChannels * convolution.outputChannels
      }
      if case .attention(let block) = layer {
        sum += 2 * rows * columns * rows * columns * block.query.outputChannels
      }
    }
    return sum
  }
}

extension NetworkLayer {
  /// Throws where the layer does not take `channels`, or its parts do not fit together.
  fileprivate func check(_ channels: Int) throws(NetworkError) {
    let name = convolutions.first?.name ?? normalizations.first?.name ?? "layer"
    guard self.channels.input == channels else {
      throw .invalidGraph(
        layer: name,
        reason: "takes \(self.channels.input) channels, but \(channels) arrive"
      )
    }
    for convolution in convolutions
    where convolution.inputChannels < 1 || convolution.outputChannels < 1
      || max(convolution.inputChannels, convolution.outputChannels) > 1 << 16
    {
      throw .invalidGraph(layer: convolution.name, reason: "channels must be 1 ... 65536")
    }
    for normalization in normalizations
    where normalization.groups < 1 || !normalization.channels.isMultiple(of: normalization.groups) {
      throw .invalidGraph(
        layer: normalization.name,
        reason:
          "\(normalization.channels) channels do not divide into \(normalization.groups) groups"
      )
    }
  }
}
