/// One of the places that the activations move between.
enum ActivationBuffer: Int, Sendable, CaseIterable {
  /// The stream and its two helpers.
  case first, second, third
  /// The condition of normalizations, with the means and deviations of its channels.
  case condition, means, deviations
  /// What normalizations take from the condition.
  case gains, biases

  /// The two others of the stream's three.
  var others: (ActivationBuffer, ActivationBuffer) {
    switch self {
    case .first: (.second, .third)
    case .second: (.third, .first)
    default: (.first, .second)
    }
  }
}

/// A call of one kernel, from one buffer to another; it may be the same one where extents and channels stay,
/// except for convolutions.
struct NetworkStep: Sendable {
  /// What is called.
  enum Operation: Sendable {
    /// A convolution; `part` counts the activations of the target that stand before the result (queries,
    /// keys, values), `adds` says that the target's values are added.
    case convolve(PlannedConvolution, part: Int, adds: Bool)
    /// Four activations, one after the other, to the places of 2x2 blocks.
    case depthToSpace
    /// A normalization.
    case normalize(PlannedGains<GroupNormalization>)
    /// Means and deviations of the channels, into the buffers of that name.
    case summarize(epsilon: Double)
    /// A gain and a bias a channel.
    case scale(PlannedGains<ChannelScaling>)
    /// A function of each value.
    case activate(Activation)
    /// 2x2 positions to one.
    case pool(Pooling)
    /// One position to 2x2.
    case upsample
    /// The attention products of queries, keys and values.
    case attend
    /// The values as they are.
    case copy
    /// The values, added to those of the target.
    case add
  }

  let operation: Operation
  let from: ActivationBuffer
  let to: ActivationBuffer
  /// The channels of the result.
  let channels: Int
}

/// A graph lowered to kernel calls over the buffers, and the layout of its packed parameters.
struct NetworkPlan: Sendable {
  /// The calls in order, from an input in the first buffer.
  private(set) var steps: [NetworkStep] = []
  /// The buffer that holds the output.
  private(set) var current = ActivationBuffer.first
  /// The floats of all packed parameters.
  private(set) var parameterCount = 0
  private var channels: Int

  /// Lowers a graph.
  init(_ graph: NetworkGraph) {
    channels = graph.inputChannels * graph.inputPatch * graph.inputPatch
    for layer in graph.layers { append(layer) }
  }

  private mutating func append(_ layer: NetworkLayer) {
    switch layer {
    case .convolution(let convolution):
      let (one, two) = current.others
      current = convolve(convolution, from: current, to: one, over: two)
    case .residual(let block): append(block)
    case .attention(let block): append(block)
    case .condition(let layers): append(condition: layers)
    case .pooling(let pooling): move(.pool(pooling))
    case .upsampling: move(.upsample)
    case .normalization, .scaling, .activation: transform(layer, from: current, to: current)
    }
  }

  /// Takes the stream to another buffer.
  private mutating func move(_ operation: NetworkStep.Operation) {
    let target = current.others.0
    add(operation, from: current, to: target)
    current = target
  }

  /// A layer that keeps extents and channels and may work in place.
  private mutating func transform(
    _ layer: NetworkLayer,
    from: ActivationBuffer,
    to: ActivationBuffer
  ) {
    switch layer {
    case .normalization(let normalization): normalize(normalization, from: from, to: to)
    case .activation(let activation): add(.activate(activation), from: from, to: to)
    case .scaling(let scaling):
      let planned = PlannedGains(scaling, channels: scaling.channels, at: parameterCount)
      parameterCount = planned.end
      add(.scale(planned), from: from, to: to)
    case .convolution, .pooling, .upsampling, .residual, .attention, .condition:
      preconditionFailure("no layer that works in place")
    }
  }

  /// The block's result is added to its input where it lies, or to the shortcut's result.
  private mutating func append(_ block: ResidualBlock) {
    let input = channels
    let (one, two) = current.others
    // The stream inside of the block moves between the two others, the input stays.
    let inner = run(block.body.dropLast(), from: current, one, two)
    if let shortcut = block.shortcut {
      let inside = channels
      let free = inner == one ? two : one
      channels = input
      convolve(shortcut, from: current, to: free)
      current = free
      channels = inside
    }
    finish(block, from: inner, to: current)
  }

  /// Layers that leave `input` as it is and use two other buffers in turn.
  ///
  /// - Returns: The buffer of the result.
  private mutating func run(
    _ layers: some Sequence<NetworkLayer>,
    from input: ActivationBuffer,
    _ one: ActivationBuffer,
    _ two: ActivationBuffer
  ) -> ActivationBuffer {
    var inner = input
    for layer in layers {
      if case .convolution(let convolution) = layer {
        let free = inner == one ? two : one
        convolve(convolution, from: inner, to: free)
        inner = free
      } else {
        let target = inner == input ? one : inner
        transform(layer, from: inner, to: target)
        inner = target
      }
    }
    return inner
  }

  /// The last layer of a block, whose result is added.
  private mutating func finish(
    _ block: ResidualBlock,
    from inner: ActivationBuffer,
    to sum: ActivationBuffer
  ) {
    guard let last = block.body.last else { return }
    if case .convolution(let convolution) = last {
      convolve(convolution, from: inner, to: sum, adds: true)
    } else {
      transform(last, from: inner, to: inner)
      add(.add, from: inner, to: sum)
    }
  }

  private mutating func append(_ block: AttentionBlock) {
    let (one, two) = current.others
    normalize(block.normalization, from: current, to: one)
    for (part, projection) in [block.query, block.key, block.value].enumerated() {
      convolve(projection, from: one, to: two, part: part)
    }
    add(.attend, from: two, to: one)
    convolve(block.output, from: one, to: current, adds: true)
  }

  /// The layers run on a copy; what they give ends in the buffer of the condition.
  private mutating func append(condition layers: [NetworkLayer]) {
    let (stream, input) = (current, channels)
    add(.copy, from: stream, to: .condition)
    guard !layers.isEmpty else { return }
    // The three buffers of the stream stand aside while the condition takes their place.
    let (one, two) = stream.others
    var inner = ActivationBuffer.condition
    for layer in layers {
      inner = appendAside(layer, inner, one, two)
    }
    if inner != .condition { add(.copy, from: inner, to: .condition) }
    (current, channels) = (stream, input)
  }

  /// One layer of the condition, from `inner` to one of the three buffers that the stream is not in.
  private mutating func appendAside(
    _ layer: NetworkLayer,
    _ inner: ActivationBuffer,
    _ one: ActivationBuffer,
    _ two: ActivationBuffer
  ) -> ActivationBuffer {
    let free = [ActivationBuffer.condition, one, two].filter { $0 != inner }
    switch layer {
    case .convolution(let convolution):
      return convolve(convolution, from: inner, to: free[0], over: free[1])
    case .residual(let block):
      let stream = run(block.body.dropLast(), from: inner, free[0], free[1])
      finish(block, from: stream, to: inner)
      return inner
    case .normalization, .scaling, .activation:
      transform(layer, from: inner, to: inner)
      return inner
    case .pooling, .upsampling, .attention, .condition:
      preconditionFailure("no layer of a condition")
    }
  }

  /// A convolution into `to`, or, where depth becomes space, by way of `to` into `over`.
  ///
  /// - Returns: The buffer of the result.
  @discardableResult
  private mutating func convolve(
    _ convolution: Convolution,
    from: ActivationBuffer,
    to: ActivationBuffer,
    over: ActivationBuffer
  ) -> ActivationBuffer {
    convolve(convolution, from: from, to: to)
    guard PlannedConvolution.spreads(convolution) else { return to }
    add(.depthToSpace, from: to, to: over)
    return over
  }

  private mutating func convolve(
    _ convolution: Convolution,
    from: ActivationBuffer,
    to: ActivationBuffer,
    part: Int = 0,
    adds: Bool = false
  ) {
    let planned = PlannedConvolution(convolution, weights: parameterCount)
    parameterCount = planned.end
    channels = convolution.outputChannels
    add(.convolve(planned, part: part, adds: adds), from: from, to: to)
  }

  private mutating func normalize(
    _ normalization: GroupNormalization,
    from: ActivationBuffer,
    to: ActivationBuffer
  ) {
    let stream = channels
    switch normalization.modulation {
    case .none: break
    case .adaptive(let gain, let bias, let epsilon):
      channels = gain.inputChannels
      add(.summarize(epsilon: epsilon), from: .condition, to: .means)
      convolve(gain, from: .deviations, to: .gains)
      convolve(bias, from: .means, to: .biases)
    case .spatial(let factor, let term):
      convolve(factor, from: .condition, to: .gains)
      convolve(term, from: .condition, to: .biases)
    }
    channels = stream
    let planned = PlannedGains(normalization, channels: normalization.channels, at: parameterCount)
    parameterCount = planned.end
    add(.normalize(planned), from: from, to: to)
  }

  private mutating func add(
    _ operation: NetworkStep.Operation,
    from: ActivationBuffer,
    to: ActivationBuffer
  ) {
    steps.append(NetworkStep(operation: operation, from: from, to: to, channels: channels))
  }
}
