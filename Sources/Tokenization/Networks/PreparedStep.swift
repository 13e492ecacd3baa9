internal import CKernels

/// A step of the plan at one size.
struct PreparedStep: Sendable {
  let step: NetworkStep
  /// The input's extents.
  let height: Int
  let width: Int
  /// The floats of the target that stand before the result: queries before keys before values.
  let offset: Int

  /// What the step does.
  var kind: KernelKind {
    switch step {
    case .normalize: .normalization
    case .attend: .attention
    case .convolve(let planned, _, _, _, _):
      switch planned.kernel {
      case .pointwise: .pointwise
      case .direct: .direct
      case .winograd: .winograd
      }
    }
  }

  /// Its multiply-adds, counted as those of direct convolutions.
  var multiplyAdds: Int {
    switch step {
    case .normalize: return 0
    case .attend(let channels, _, _): return 2 * (height * width) * (height * width) * channels
    case .convolve(let planned, _, _, _, _):
      let convolution = planned.convolution
      let positions = convolution.extent(height) * convolution.extent(width)
      let taps = convolution.kernel * convolution.kernel
      return positions * taps * convolution.inputChannels * convolution.outputChannels
    }
  }
}

/// Follows the extents through a plan and lays out the memory that it takes.
struct WorkspaceLayout: Sendable {
  /// The calls with their extents.
  private(set) var steps: [PreparedStep] = []
  /// The beginning of each of the three activation buffers, in floats.
  private(set) var buffers: [Int] = []
  /// The beginning of the scratch that the kernels share.
  private(set) var scratch = 0
  /// The floats of the whole.
  private(set) var count = 0

  /// Prepares a network for inputs of `height` x `width` positions.
  init(_ network: ConvolutionalNetwork, height: Int, width: Int) {
    let graph = network.graph
    var (rows, columns) = (height / graph.inputPatch, width / graph.inputPatch)
    var sizes = [Int](repeating: 0, count: ActivationBuffer.allCases.count)
    var scratchSize = 0
    func enlarge(_ buffer: ActivationBuffer, _ channels: Int, parts: Int = 1) {
      let size = parts * rows * columns * AlignedFloats.rounded(channels)
      sizes[buffer.rawValue] = max(sizes[buffer.rawValue], size)
    }
    // The Haar transforms pass through the two buffers that the stream is not in.
    enlarge(.first, graph.inputChannels * graph.inputPatch * graph.inputPatch)
    enlarge(.second, graph.inputChannels * graph.inputPatch * graph.inputPatch)
    enlarge(.third, graph.inputChannels * graph.inputPatch * graph.inputPatch)
    for step in network.plan.steps {
      var offset = 0
      let (inputRows, inputColumns) = (rows, columns)
      switch step {
      case .convolve(let planned, _, let target, let part, _):
        let convolution = planned.convolution
        scratchSize = max(scratchSize, planned.scratch(height: rows, width: columns))
        (rows, columns) = (convolution.extent(rows), convolution.extent(columns))
        offset = part * rows * columns * AlignedFloats.rounded(convolution.outputChannels)
        enlarge(target, convolution.outputChannels, parts: part + 1)
      case .normalize(let planned, _, let target):
        let channels = planned.normalization.channels
        scratchSize = max(scratchSize, ckernels_group_norm_scratch(channels))
        enlarge(target, channels)
      case .attend(let channels, _, let target):
        scratchSize = max(scratchSize, ckernels_attention_scratch(rows * columns, channels))
        enlarge(target, channels)
      }
      steps.append(
        PreparedStep(step: step, height: inputRows, width: inputColumns, offset: offset)
      )
    }
    let (one, two) = network.plan.current.others
    enlarge(one, graph.outputChannels * graph.outputPatch * graph.outputPatch)
    enlarge(two, graph.outputChannels * graph.outputPatch * graph.outputPatch)
    for size in sizes {
      buffers.append(count)
      count += AlignedFloats.rounded(size)
    }
    scratch = count
    count += AlignedFloats.rounded(scratchSize)
  }
}

extension PlannedConvolution {
  /// The convolution as the kernels take it.
  func arguments(
    height: Int,
    width: Int,
    parameters: UnsafePointer<Float>
  ) -> ckernels_convolution {
    unsafe ckernels_convolution(
      height: height,
      width: width,
      in_channels: convolution.inputChannels,
      out_channels: convolution.outputChannels,
      weights: parameters + weights,
      bias: parameters + bias
    )
  }

  /// The scratch that its kernel takes, in floats.
  fileprivate func scratch(height: Int, width: Int) -> Int {
    var sizes = unsafe ckernels_convolution()
    unsafe sizes.height = height
    unsafe sizes.width = width
    unsafe sizes.in_channels = convolution.inputChannels
    unsafe sizes.out_channels = convolution.outputChannels
    return switch kernel {
    case .pointwise: 0
    case .direct(let stride, let padding): unsafe ckernels_3x3_scratch(&sizes, stride, padding)
    case .winograd: unsafe ckernels_winograd_scratch(&sizes)
    }
  }
}
