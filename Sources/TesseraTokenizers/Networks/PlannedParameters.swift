internal import CKernels

/// A convolution as the kernels take it: which kernel, and where its packed parameters begin.
struct PlannedConvolution: Sendable {
  /// The kernel that computes it.
  enum Kernel: Hashable, Sendable {
    /// `ckernels_convolve_1x1`.
    case pointwise
    /// `ckernels_convolve_direct`.
    case direct(extent: Int, stride: Int, padding: Int)
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
    (self.convolution, self.weights) = (convolution, weights)
    kernel = Self.kernel(of: convolution)
    let filters = Self.filters(of: convolution)
    let count =
      switch kernel {
      case .pointwise: ckernels_packed_direct_size(filters, convolution.inputChannels, 1)
      case .direct(let extent, _, _):
        ckernels_packed_direct_size(filters, convolution.inputChannels, extent * extent)
      case .winograd: ckernels_packed_winograd_size(filters, convolution.inputChannels)
      }
    bias = weights + AlignedFloats.rounded(count)
    end = bias + AlignedFloats.rounded(filters)
  }

  /// Chooses the kernel from the sizes alone, so that the bits do not depend on the processor.
  ///
  /// Below 16 input channels Winograd's transforms cost more than they save.
  static func kernel(of convolution: Convolution) -> Kernel {
    switch convolution.geometry {
    case .pointwise: .pointwise
    case .same where convolution.inputChannels < 16: .direct(extent: 3, stride: 1, padding: 1)
    case .same, .doublingTransposed, .doublingShuffled: .winograd(upsamples: false)
    case .doubling: .winograd(upsamples: true)
    case .sameSeven: .direct(extent: 7, stride: 1, padding: 3)
    case .halving: .direct(extent: 3, stride: 2, padding: 0)
    case .halvingSymmetric: .direct(extent: 3, stride: 2, padding: 1)
    case .halvingFour: .direct(extent: 4, stride: 2, padding: 1)
    }
  }

  /// Whether the convolution gives the four places of 2x2 blocks one after the other.
  static func spreads(_ convolution: Convolution) -> Bool {
    switch convolution.geometry {
    case .doublingTransposed, .doublingShuffled: true
    default: false
    }
  }

  /// The output channels of the kernel: those of the four places each fill whole blocks.
  static func filters(of convolution: Convolution) -> Int {
    spreads(convolution)
      ? 4 * AlignedFloats.rounded(convolution.outputChannels) : convolution.outputChannels
  }

  /// The output channels of the kernel.
  var filters: Int { Self.filters(of: convolution) }

  /// The kernel's output extent for an input's; depth to space comes after it.
  func extent(_ input: Int) -> Int {
    Self.spreads(convolution) ? input : convolution.extent(input)
  }

  /// Weights as the kernel takes them, [filters][inputs][taps].
  func arranged(_ weights: [Float]) -> [Float] {
    switch convolution.geometry {
    case .doublingTransposed: transposed(weights)
    case .doublingShuffled: spread(weights)
    default: weights
    }
  }

  /// Biases, one a filter.
  func arranged(biases: [Float]) -> [Float] {
    guard Self.spreads(convolution) else { return biases }
    let channels = convolution.outputChannels
    let stride = AlignedFloats.rounded(channels)
    var result = [Float](repeating: 0, count: filters)
    for quarter in 0..<4 {
      for channel in 0..<channels {
        let isShuffled = convolution.geometry == .doublingShuffled
        result[quarter * stride + channel] =
          biases[isShuffled ? quarter * channels + channel : channel]
      }
    }
    return result
  }

  /// Filters of a shuffled convolution, moved to where the blocks of their place begin.
  private func spread(_ weights: [Float]) -> [Float] {
    let channels = convolution.outputChannels
    let stride = AlignedFloats.rounded(channels)
    let filter = convolution.inputChannels * 9
    var result = [Float](repeating: 0, count: filters * filter)
    for quarter in 0..<4 {
      let source = quarter * channels * filter
      let target = quarter * stride * filter
      result.replaceSubrange(
        target..<target + channels * filter,
        with: weights[source..<source + channels * filter]
      )
    }
    return result
  }

  /// A transposed convolution, 4x4 of stride 2 with padding 1, as four 3x3 ones.
  ///
  /// Output 2i + a takes input m through tap 2i + a + 1 - 2m: for a = 0 inputs i - 1 and i through taps 3
  /// and 1, for a = 1 inputs i and i + 1 through taps 2 and 0.
  private func transposed(_ weights: [Float]) -> [Float] {
    let taps: [[(tap: Int, from: Int)]] = [[(0, 3), (1, 1)], [(1, 2), (2, 0)]]
    let (inputs, outputs) = (convolution.inputChannels, convolution.outputChannels)
    let stride = AlignedFloats.rounded(outputs)
    var result = [Float](repeating: 0, count: filters * inputs * 9)
    for quarter in 0..<4 {
      for output in 0..<outputs {
        for input in 0..<inputs {
          let source = (input * outputs + output) * 16
          let target = ((quarter * stride + output) * inputs + input) * 9
          for row in taps[quarter / 2] {
            for column in taps[quarter % 2] {
              result[target + row.tap * 3 + column.tap] =
                weights[source + row.from * 4 + column.from]
            }
          }
        }
      }
    }
    return result
  }
}

/// A layer with a gain and a bias for each channel, and where these begin.
struct PlannedGains<Layer: Sendable>: Sendable {
  let layer: Layer
  let gain: Int
  let bias: Int
  /// Where the next parameters may begin.
  let end: Int

  init(_ layer: Layer, channels: Int, at start: Int) {
    self.layer = layer
    let count = AlignedFloats.rounded(channels)
    gain = start
    bias = start + count
    end = start + 2 * count
  }
}
