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
    let (height, width) = (prepared.height, prepared.width)
    switch prepared.step {
    case .convolve(let planned, let source, let target, _, let adds):
      var arguments = unsafe planned.arguments(
        height: height,
        width: width,
        parameters: parameters
      )
      let input = unsafe address(source)
      let output = unsafe address(target) + prepared.offset
      switch planned.kernel {
      case .pointwise:
        unsafe ckernels_convolve_1x1(instructions, &arguments, input, output, adds)
      case .direct(let stride, let padding):
        unsafe ckernels_convolve_3x3(
          instructions,
          &arguments,
          stride,
          padding,
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
    case .normalize(let planned, let source, let target):
      let normalization = planned.normalization
      unsafe ckernels_group_norm(
        instructions,
        height * width,
        normalization.channels,
        normalization.groups,
        normalization.epsilon,
        parameters + planned.gain,
        parameters + planned.bias,
        normalization.activates,
        address(source),
        address(target),
        scratch
      )
    case .attend(let channels, let source, let target):
      unsafe ckernels_attention(
        instructions,
        height * width,
        channels,
        address(source),
        address(target),
        scratch
      )
    }
  }
}
