internal import CKernels

/// One image on its way through the kernels: the addresses that the steps work on.
@safe
struct NetworkExecution {
  let instructions: ckernels_isa
  let graph: NetworkGraph
  /// The packed parameters.
  let parameters: UnsafePointer<Float>
  /// The workspace's memory.
  let memory: UnsafeMutablePointer<Float>
  let layout: WorkspaceLayout

  private func address(_ buffer: ActivationBuffer) -> UnsafeMutablePointer<Float> {
    unsafe memory + layout.buffers[buffer.rawValue]
  }

  private var scratch: UnsafeMutablePointer<Float> { unsafe memory + layout.scratch }

  /// Takes the input, channels last, through the Haar transform into the first buffer, blocked.
  func load(_ input: UnsafePointer<Float>, height: Int, width: Int) {
    var (rows, columns, channels) = (height, width, graph.inputChannels)
    var source = unsafe input
    var targets = unsafe (address(.second), address(.third))
    for _ in 0..<graph.inputPatch.trailingZeroBitCount {
      unsafe ckernels_haar(instructions, rows, columns, channels, source, targets.0)
      (rows, columns, channels) = (rows / 2, columns / 2, channels * 4)
      unsafe source = UnsafePointer(targets.0)
      unsafe targets = (targets.1, targets.0)
    }
    unsafe ckernels_to_blocks(instructions, rows * columns, channels, source, address(.first))
  }

  /// Takes the result from `current` through the inverse Haar transform to the output, channels last.
  func unload(
    _ current: ActivationBuffer,
    to output: UnsafeMutablePointer<Float>,
    height: Int,
    width: Int
  ) {
    let patch = graph.outputPatch
    var (rows, columns) = (height / patch, width / patch)
    var channels = graph.outputChannels * patch * patch
    let steps = patch.trailingZeroBitCount
    var targets = unsafe (address(current.others.0), address(current.others.1))
    let blocked = unsafe address(current)
    var target = unsafe steps == 0 ? output : targets.0
    unsafe ckernels_from_blocks(instructions, rows * columns, channels, blocked, target)
    for step in 1..<(steps + 1) {
      let source = unsafe target
      unsafe targets = (targets.1, targets.0)
      unsafe target = step == steps ? output : targets.0
      channels /= 4
      unsafe ckernels_inverse_haar(instructions, rows, columns, channels, source, target)
      (rows, columns) = (rows * 2, columns * 2)
    }
  }

  /// Runs one step.
  func perform(_ prepared: PreparedStep) {
    let (step, height, width) = (prepared.step, prepared.height, prepared.width)
    let input = unsafe UnsafePointer(address(step.from))
    let output = unsafe address(step.to)
    let positions = height * width
    let count = positions * AlignedFloats.rounded(step.channels)
    switch step.operation {
    case .convolve(let planned, _, let adds):
      unsafe convolve(planned, prepared, from: input, to: output + prepared.offset, adds: adds)
    case .depthToSpace:
      unsafe ckernels_depth_to_space(instructions, height, width, step.channels, input, output)
    case .normalize(let planned):
      unsafe normalize(planned, prepared, from: input, to: output)
    case .summarize(let epsilon):
      unsafe summarize(positions, step.channels, epsilon, from: input, to: output)
    case .scale(let planned):
      unsafe scale(planned, positions, step.channels, from: input, to: output)
    case .activate(let activation):
      unsafe ckernels_activate(instructions, activation.kernels, count, input, output)
    case .pool(let pooling):
      let isMaximum = pooling == .maximum
      unsafe ckernels_pool(instructions, isMaximum, height, width, step.channels, input, output)
    case .upsample:
      unsafe ckernels_upsample(instructions, height, width, step.channels, input, output)
    case .attend:
      unsafe ckernels_attention(instructions, positions, step.channels, input, output, scratch)
    case .copy:
      unsafe output.update(from: input, count: count)
    case .add:
      unsafe ckernels_add(instructions, count, input, output)
    }
  }

  private func convolve(
    _ planned: PlannedConvolution,
    _ prepared: PreparedStep,
    from input: UnsafePointer<Float>,
    to output: UnsafeMutablePointer<Float>,
    adds: Bool
  ) {
    let (height, width) = (prepared.height, prepared.width)
    var arguments = unsafe planned.arguments(height: height, width: width, parameters: parameters)
    switch planned.kernel {
    case .pointwise:
      unsafe ckernels_convolve_1x1(instructions, &arguments, input, output, adds)
    case .direct:
      guard var window = planned.window(height: height, width: width) else { return }
      unsafe ckernels_convolve_direct(
        instructions,
        &arguments,
        &window,
        input,
        output,
        adds,
        scratch
      )
    case .winograd(let upsamples):
      unsafe ckernels_convolve_winograd(
        instructions,
        &arguments,
        upsamples,
        input,
        output,
        adds,
        scratch
      )
    }
  }

  /// Means and deviations of channels over all positions.
  private func summarize(
    _ positions: Int,
    _ channels: Int,
    _ epsilon: Double,
    from input: UnsafePointer<Float>,
    to output: UnsafeMutablePointer<Float>
  ) {
    unsafe ckernels_channel_statistics(
      instructions,
      positions,
      channels,
      epsilon,
      input,
      output,
      address(.deviations)
    )
  }

  private func scale(
    _ planned: PlannedGains<ChannelScaling>,
    _ positions: Int,
    _ channels: Int,
    from input: UnsafePointer<Float>,
    to output: UnsafeMutablePointer<Float>
  ) {
    unsafe ckernels_scale_channels(
      instructions,
      positions,
      channels,
      parameters + planned.gain,
      parameters + planned.bias,
      planned.layer.activates,
      input,
      output
    )
  }

  private func normalize(
    _ planned: PlannedGains<GroupNormalization>,
    _ prepared: PreparedStep,
    from input: UnsafePointer<Float>,
    to output: UnsafeMutablePointer<Float>
  ) {
    let normalization = planned.layer
    var arguments = unsafe ckernels_normalization()
    unsafe arguments.height = prepared.height
    unsafe arguments.width = prepared.width
    unsafe arguments.channels = normalization.channels
    unsafe arguments.groups = normalization.groups
    unsafe arguments.interleaved = normalization.isInterleaved
    unsafe arguments.silu = normalization.activates
    unsafe arguments.epsilon = normalization.epsilon
    unsafe arguments.gain = parameters + planned.gain
    unsafe arguments.bias = parameters + planned.bias
    switch normalization.modulation {
    case .none: break
    case .adaptive:
      unsafe arguments.gain = UnsafePointer(address(.gains))
      unsafe arguments.bias = UnsafePointer(address(.biases))
    case .spatial:
      unsafe arguments.factors = UnsafePointer(address(.gains))
      unsafe arguments.terms = UnsafePointer(address(.biases))
      unsafe arguments.shift = Int32(prepared.shift)
    }
    unsafe ckernels_group_norm(instructions, &arguments, input, output, scratch)
  }
}

extension Activation {
  /// The value by which the kernels know it.
  fileprivate var kernels: ckernels_activation {
    switch self {
    case .relu: CKERNELS_RELU
    case .silu: CKERNELS_SILU
    case .tanh: CKERNELS_TANH
    case .sigmoid: CKERNELS_SIGMOID
    }
  }
}
