internal import CKernels

/// A convolution as the kernels take it: which kernel, and where its packed parameters begin.
struct PlannedConvolution: Sendable {
  /// The kernel that computes it.
  enum Kernel: Hashable, Sendable {
    /// `ckernels_convolve_1x1`.
    case pointwise
    /// `ckernels_convolve_3x3`.
    case direct(stride: Int, padding: Int)
    /// `ckernels_convolve_winograd`.
    case winograd(upsamples: Bool)
  }

  let convolution: Convolution
  let kernel: Kernel
  /// Where the packed weights begin, counted in floats.
  let weights: Int
  /// Where the bias begins.
  let bias: Int
  /// Where the next parameters may begin.
  let end: Int

  /// Lays the parameters out from `weights` on.
  init(_ convolution: Convolution, weights: Int) {
    self.convolution = convolution
    self.weights = weights
    kernel = Self.kernel(of: convolution)
    bias = weights + AlignedFloats.rounded(Self.weightCount(of: convolution))
    end = bias + AlignedFloats.rounded(convolution.outputChannels)
  }

  /// Chooses the kernel from the sizes alone, so that the bits do not depend on the processor.
  ///
  /// Below 16 input channels Winograd's transforms cost more than they save.
  static func kernel(of convolution: Convolution) -> Kernel {
    switch convolution.geometry {
    case .pointwise: .pointwise
    case .same where convolution.inputChannels < 16: .direct(stride: 1, padding: 1)
    case .same: .winograd(upsamples: false)
    case .doubling: .winograd(upsamples: true)
    case .halving: .direct(stride: 2, padding: 0)
    case .halvingSymmetric: .direct(stride: 2, padding: 1)
    }
  }

  /// The floats of packed weights.
  private static func weightCount(of convolution: Convolution) -> Int {
    let (output, input) = (convolution.outputChannels, convolution.inputChannels)
    return switch kernel(of: convolution) {
    case .pointwise: ckernels_packed_direct_size(output, input, 1)
    case .direct: ckernels_packed_direct_size(output, input, 9)
    case .winograd: ckernels_packed_winograd_size(output, input)
    }
  }
}

/// A normalization and where its gains and biases begin.
struct PlannedNormalization: Sendable {
  let normalization: GroupNormalization
  let gain: Int
  let bias: Int
}

/// One of the three buffers that the activations move between.
enum ActivationBuffer: Int, Sendable, CaseIterable {
  case first, second, third

  /// The two others.
  var others: (ActivationBuffer, ActivationBuffer) {
    switch self {
    case .first: (.second, .third)
    case .second: (.third, .first)
    case .third: (.first, .second)
    }
  }
}

/// A call of one kernel.
enum NetworkStep: Sendable {
  /// A convolution into `to`, or added to what `to` holds; `part` counts the activations of `to` that
  /// stand before the result (queries, keys, values).
  case convolve(
    PlannedConvolution,
    from: ActivationBuffer,
    to: ActivationBuffer,
    part: Int,
    adds: Bool
  )
  /// A normalization; `to` may be `from`.
  case normalize(PlannedNormalization, from: ActivationBuffer, to: ActivationBuffer)
  /// The attention products of the queries, keys and values in `from`.
  case attend(channels: Int, from: ActivationBuffer, to: ActivationBuffer)
}

/// A graph lowered to kernel calls over three buffers, and the layout of its packed parameters.
struct NetworkPlan: Sendable {
  /// The calls in order, from an input in the first buffer.
  private(set) var steps: [NetworkStep] = []
  /// The buffer that holds the output.
  private(set) var current = ActivationBuffer.first
  /// The floats of all packed parameters.
  private(set) var parameterCount = 0

  /// Lowers a graph.
  init(_ graph: NetworkGraph) {
    for layer in graph.layers {
      switch layer {
      case .convolution(let convolution):
        let target = current.others.0
        convolve(convolution, from: current, to: target)
        current = target
      case .normalization(let normalization):
        normalize(normalization, from: current, to: current)
      case .residual(let block): append(block)
      case .attention(let block): append(block)
      }
    }
  }

  /// The block's result is added to its input where it lies, or to the shortcut's result.
  private mutating func append(_ block: ResidualBlock) {
    let (one, two) = current.others
    normalize(block.firstNormalization, from: current, to: one)
    convolve(block.firstConvolution, from: one, to: two)
    normalize(block.secondNormalization, from: two, to: two)
    if let shortcut = block.shortcut {
      convolve(shortcut, from: current, to: one)
      current = one
    }
    convolve(block.secondConvolution, from: two, to: current, adds: true)
  }

  private mutating func append(_ block: AttentionBlock) {
    let (one, two) = current.others
    normalize(block.normalization, from: current, to: one)
    for (part, projection) in [block.query, block.key, block.value].enumerated() {
      convolve(projection, from: one, to: two, part: part)
    }
    steps.append(.attend(channels: block.query.outputChannels, from: two, to: one))
    convolve(block.output, from: one, to: current, adds: true)
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
    steps.append(.convolve(planned, from: from, to: to, part: part, adds: adds))
  }

  private mutating func normalize(
    _ normalization: GroupNormalization,
    from: ActivationBuffer,
    to: ActivationBuffer
  ) {
    let count = AlignedFloats.rounded(normalization.channels)
    let planned = PlannedNormalization(
      normalization: normalization,
      gain: parameterCount,
      bias: parameterCount + count
    )
    parameterCount += 2 * count
    steps.append(.normalize(planned, from: from, to: to))
  }
}
