internal import CKernels

/// A step of the plan at one size.
struct PreparedStep: Sendable {
  let step: NetworkStep
  /// The input's extents.
  let height: Int
  let width: Int
  /// The floats of the target that stand before the result: queries before keys before values.
  let offset: Int
  /// How often the condition's extents are doubled to reach the input's.
  let shift: Int

  /// What the step does.
  var kind: KernelKind {
    switch step.operation {
    case .normalize, .scale, .summarize, .activate: .normalization
    case .attend: .attention
    case .depthToSpace, .pool, .upsample, .copy, .add: .layout
    case .convolve(let planned, _, _):
      switch planned.kernel {
      case .pointwise: .pointwise
      case .direct: .direct
      case .winograd: .winograd
      }
    }
  }

  /// Its multiply-adds, counted as those of direct convolutions.
  var multiplyAdds: Int {
    switch step.operation {
    case .normalize, .scale, .summarize, .activate, .depthToSpace, .pool, .upsample, .copy,
      .add:
      return 0
    case .attend: return 2 * (height * width) * (height * width) * step.channels
    case .convolve(let planned, _, _):
      let convolution = planned.convolution
      return convolution.extent(height) * convolution.extent(width) * convolution.multiplyAdds
    }
  }
}

/// Follows the extents through a plan and lays out the memory that it takes.
struct WorkspaceLayout: Sendable {
  /// The calls with their extents.
  private(set) var steps: [PreparedStep] = []
  /// The beginning of each of the activation buffers, in floats.
  private(set) var buffers: [Int] = []
  /// The beginning of the scratch that the kernels share.
  private(set) var scratch = 0
  /// The floats of the whole.
  private(set) var count = 0
  private var sizes = [Int](repeating: 0, count: ActivationBuffer.allCases.count)
  private var extents = [(rows: Int, columns: Int)](
    repeating: (0, 0),
    count: ActivationBuffer.allCases.count
  )

  /// Prepares a plan of a graph for inputs of `height` x `width` positions.
  init(_ plan: NetworkPlan, of graph: NetworkGraph, height: Int, width: Int) {
    let first = ActivationBuffer.first
    extents[first.rawValue] = (height / graph.inputPatch, width / graph.inputPatch)
    // The Haar transforms pass through the two buffers that the stream is not in.
    for buffer in [first, first.others.0, first.others.1] {
      extents[buffer.rawValue] = extents[first.rawValue]
      enlarge(buffer, graph.inputChannels * graph.inputPatch * graph.inputPatch)
    }
    var scratchSize = 0
    for step in plan.steps {
      let (rows, columns) = extents[step.from.rawValue]
      scratchSize = max(scratchSize, step.scratch(height: rows, width: columns))
      let (offset, parts) = follow(step)
      enlarge(step.to, step.width, parts: parts)
      let condition = extents[ActivationBuffer.condition.rawValue].rows
      steps.append(
        PreparedStep(
          step: step,
          height: rows,
          width: columns,
          offset: offset,
          shift: condition == 0 ? 0 : (rows / condition).trailingZeroBitCount
        )
      )
    }
    let (one, two) = plan.current.others
    for buffer in [one, two] {
      extents[buffer.rawValue] = extents[plan.current.rawValue]
      enlarge(buffer, graph.outputChannels * graph.outputPatch * graph.outputPatch)
    }
    for size in sizes {
      buffers.append(count)
      count += AlignedFloats.rounded(size)
    }
    scratch = count
    count += AlignedFloats.rounded(scratchSize)
  }

  /// Moves the extents through one step.
  ///
  /// - Returns: The floats that stand before the result, and the activations that the target then holds.
  private mutating func follow(_ step: NetworkStep) -> (offset: Int, parts: Int) {
    var (rows, columns) = extents[step.from.rawValue]
    var (offset, parts) = (0, 1)
    switch step.operation {
    case .convolve(let planned, let part, _):
      (rows, columns) = (planned.extent(rows), planned.extent(columns))
      offset = part * rows * columns * AlignedFloats.rounded(step.width)
      parts = part + 1
    case .depthToSpace, .upsample: (rows, columns) = (2 * rows, 2 * columns)
    case .pool: (rows, columns) = (rows / 2, columns / 2)
    case .summarize:
      (rows, columns) = (1, 1)
      extents[ActivationBuffer.deviations.rawValue] = (1, 1)
      enlarge(.deviations, step.channels)
    case .normalize, .scale, .activate, .attend, .copy, .add: break
    }
    extents[step.to.rawValue] = (rows, columns)
    return (offset, parts)
  }

  private mutating func enlarge(_ buffer: ActivationBuffer, _ channels: Int, parts: Int = 1) {
    let (rows, columns) = extents[buffer.rawValue]
    let size = parts * rows * columns * AlignedFloats.rounded(channels)
    sizes[buffer.rawValue] = max(sizes[buffer.rawValue], size)
  }
}

extension NetworkStep {
  /// The channels of the target, as many as the kernel writes.
  fileprivate var width: Int {
    if case .convolve(let planned, _, _) = operation { planned.filters } else { channels }
  }

  /// The scratch that the kernel takes for an input of these extents, in floats.
  fileprivate func scratch(height: Int, width: Int) -> Int {
    switch operation {
    case .convolve(let planned, _, _): planned.scratch(height: height, width: width)
    case .normalize(let planned):
      ckernels_group_norm_scratch(planned.layer.channels)
    case .attend: ckernels_attention_scratch(height * width, channels)
    case .depthToSpace, .summarize, .scale, .activate, .pool, .upsample, .copy, .add: 0
    }
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
      out_channels: filters,
      weights: parameters + weights,
      bias: parameters + bias
    )
  }

  /// How a direct convolution moves over an input of these extents; nil for other kernels.
  func window(height: Int, width: Int) -> ckernels_window? {
    guard case .direct(let extent, let stride, let padding) = kernel else { return nil }
    return ckernels_window(
      extent: extent,
      stride: stride,
      padding: padding,
      rows: self.extent(height),
      columns: self.extent(width)
    )
  }

  /// The scratch that its kernel takes, in floats.
  fileprivate func scratch(height: Int, width: Int) -> Int {
    var sizes = unsafe ckernels_convolution()
    unsafe sizes.height = height
    unsafe sizes.width = width
    unsafe sizes.in_channels = convolution.inputChannels
    unsafe sizes.out_channels = filters
    switch kernel {
    case .pointwise: return 0
    case .direct:
      guard var window = window(height: height, width: width) else { return 0 }
      return unsafe ckernels_direct_scratch(&sizes, &window)
    case .winograd: return unsafe ckernels_winograd_scratch(&sizes)
    }
  }
}
