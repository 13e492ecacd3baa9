import CKernels
import Testing

/// Every kernel on odd sizes: the same bits on every instruction set, and close to plain double loops.
@Suite struct NetworkKernelTests {
  /// The instruction sets of this processor, as the kernels know them.
  static let sets = [CKERNELS_BASELINE, CKERNELS_AVX2, CKERNELS_AVX512].filter(ckernels_supports)

  static let shapes = [
    ConvolutionSizes(height: 1, width: 1, input: 3, output: 6),
    ConvolutionSizes(height: 5, width: 7, input: 3, output: 17),
    ConvolutionSizes(height: 4, width: 8, input: 6, output: 48),
    ConvolutionSizes(height: 9, width: 3, input: 17, output: 33),
    ConvolutionSizes(height: 11, width: 13, input: 48, output: 96),
    ConvolutionSizes(height: 8, width: 10, input: 96, output: 6),
    ConvolutionSizes(height: 2, width: 90, input: 17, output: 80),
  ]

  /// Runs a convolution of every kind on every instruction set.
  ///
  /// The bound is 4e-6 of the sum of the products' magnitudes for Winograd, whose transforms enlarge
  /// rounding errors, and 1e-6 for the direct ones; inputs are below 1 and weights keep the variance.
  private func compare(
    _ sizes: ConvolutionSizes,
    bound: Double,
    pack: (AlignedArray) -> AlignedArray,
    run: (ckernels_isa, inout ckernels_convolution, AlignedArray, AlignedArray, Bool) -> Void
  ) {
    let positions = sizes.outputHeight * sizes.outputWidth
    let taps = sizes.kernel * sizes.kernel
    let input = draw("input", sizes.height * sizes.width * sizes.input)
    let weights = draw("weights", sizes.output * sizes.input * taps)
    let bias = draw("bias", sizes.output)
    let packed = pack(AlignedArray(weights))
    let packedBias = AlignedArray(bias, count: AlignedArray.blocked(1, sizes.output))
    let blocked = AlignedArray(blocking: input, channels: sizes.input)
    for adds in [false, true] {
      let old = draw("old", positions * sizes.output)
      let expected = Reference.convolve(
        input,
        sizes,
        weights: weights,
        bias: bias,
        plus: adds ? old : [Float](repeating: 0, count: old.count)
      )
      var reference: [Float] = []
      for isa in Self.sets {
        let output = AlignedArray(blocking: old, channels: sizes.output)
        var arguments = ckernels_convolution(
          height: sizes.height,
          width: sizes.width,
          in_channels: sizes.input,
          out_channels: sizes.output,
          weights: packed.base,
          bias: packedBias.base
        )
        run(isa, &arguments, blocked, output, adds)
        let values = output.channelsLast(positions: positions, channels: sizes.output)
        let difference = largestDifference(values, expected)
        #expect(difference < bound * Double(taps * sizes.input), "\(isa) \(difference)")
        if reference.isEmpty { reference = output.values }
        #expect(bits(output.values) == bits(reference), "\(isa)")
      }
    }
  }

  @Test(arguments: shapes)
  func `1x1 convolutions`(sizes: ConvolutionSizes) {
    var sizes = sizes
    (sizes.kernel, sizes.padding) = (1, 0)
    compare(sizes, bound: 1e-6) { weights in
      sizes.packed(weights, taps: 1)
    } run: { isa, arguments, input, output, adds in
      ckernels_convolve_1x1(isa, &arguments, input.base, output.base, adds)
    }
  }

  @Test(arguments: shapes, [(1, 1), (2, 0), (2, 1)])
  func `direct 3x3 convolutions`(sizes: ConvolutionSizes, rule: (stride: Int, padding: Int)) {
    var sizes = sizes
    (sizes.stride, sizes.padding) = rule
    if sizes.outputHeight == 0 || sizes.outputWidth == 0 { (sizes.height, sizes.width) = (2, 2) }
    compare(sizes, bound: 1e-6) { weights in
      sizes.packed(weights, taps: 9)
    } run: { isa, arguments, input, output, adds in
      var window = ckernels_window(
        extent: 3,
        stride: rule.stride,
        padding: rule.padding,
        rows: sizes.outputHeight,
        columns: sizes.outputWidth
      )
      let scratch = AlignedArray(count: ckernels_direct_scratch(&arguments, &window))
      ckernels_convolve_direct(
        isa,
        &arguments,
        &window,
        input.base,
        output.base,
        adds,
        scratch.base
      )
    }
  }

  @Test(arguments: shapes, [false, true])
  func `Winograd convolutions`(sizes: ConvolutionSizes, upsamples: Bool) {
    var sizes = sizes
    sizes.upsamples = upsamples
    compare(sizes, bound: 4e-6) { weights in
      let packed = AlignedArray(count: ckernels_packed_winograd_size(sizes.output, sizes.input))
      ckernels_pack_winograd(sizes.output, sizes.input, weights.base, packed.base)
      return packed
    } run: { isa, arguments, input, output, adds in
      let scratch = AlignedArray(count: ckernels_winograd_scratch(&arguments))
      ckernels_convolve_winograd(
        isa,
        &arguments,
        upsamples,
        input.base,
        output.base,
        adds,
        scratch.base
      )
    }
  }

  @Test(arguments: [(1, 3, 1), (5, 6, 2), (259, 17, 17), (35, 48, 16), (530, 96, 32)], [0, 300])
  func `group norms, also where the mean is far from zero`(
    sizes: (positions: Int, channels: Int, groups: Int),
    mean: Float
  ) {
    let (positions, channels, groups) = sizes
    let input = draw("input", positions * channels).map { $0 + mean }
    let gain = draw("gain", channels)
    let bias = draw("bias", channels)
    for silu in [false, true] {
      let expected = Reference.normalize(
        input,
        channels: channels,
        groups: groups,
        gain: gain,
        bias: bias,
        silu: silu
      )
      var reference: [Float] = []
      for isa in Self.sets {
        let blocked = AlignedArray(blocking: input, channels: channels)
        let scratch = AlignedArray(count: ckernels_group_norm_scratch(channels))
        normalize(isa, sizes, gain: gain, bias: bias, silu: silu, blocked, scratch)
        let values = blocked.channelsLast(positions: positions, channels: channels)
        // x * scale + shift is fused, with scale and shift rounded: relative to the mean's size.
        let bound = 2e-6 * Double(1 + mean)
        #expect(largestDifference(values, expected) < bound, "\(isa)")
        if reference.isEmpty { reference = blocked.values }
        #expect(bits(blocked.values) == bits(reference), "\(isa)")
      }
    }
  }

  private func normalize(
    _ isa: ckernels_isa,
    _ sizes: (positions: Int, channels: Int, groups: Int),
    gain: [Float],
    bias: [Float],
    silu: Bool,
    _ values: AlignedArray,
    _ scratch: AlignedArray
  ) {
    let (gain, bias) = (AlignedArray(gain), AlignedArray(bias))
    var arguments = ckernels_normalization()
    arguments.height = 1
    arguments.width = sizes.positions
    arguments.channels = sizes.channels
    arguments.groups = sizes.groups
    arguments.epsilon = 1e-6
    arguments.silu = silu
    arguments.gain = UnsafePointer(gain.base)
    arguments.bias = UnsafePointer(bias.base)
    ckernels_group_norm(isa, &arguments, values.base, values.base, scratch.base)
  }

  @Test(arguments: [(1, 3), (7, 6), (35, 17), (50, 48), (100, 96)])
  func attention(sizes: (tokens: Int, channels: Int)) {
    let (tokens, channels) = sizes
    let parts = ["q", "k", "v"].map { draw($0, tokens * channels).map { $0 * 2 } }
    let expected = Reference.attend(parts, tokens: tokens, channels: channels)
    let blocked = parts.flatMap { AlignedArray(blocking: $0, channels: channels).values }
    let qkv = AlignedArray(blocked)
    var reference: [Float] = []
    for isa in Self.sets {
      let output = AlignedArray(count: AlignedArray.blocked(tokens, channels))
      let scratch = AlignedArray(count: ckernels_attention_scratch(tokens, channels))
      ckernels_attention(isa, tokens, channels, qkv.base, output.base, scratch.base)
      let values = output.channelsLast(positions: tokens, channels: channels)
      #expect(largestDifference(values, expected) < 1e-5, "\(isa)")
      if reference.isEmpty { reference = output.values }
      #expect(bits(output.values) == bits(reference), "\(isa)")
    }
  }

  @Test func `e^x is right to 2 units in the last place and saturates`() {
    let input =
      draw("x", 4001).map { $0 * 87 } + [0, -87.31, -100, -.infinity, 88.3, 100, .infinity]
    var reference: [Float] = []
    for isa in Self.sets {
      let (from, to) = (AlignedArray(input), AlignedArray(count: input.count))
      ckernels_exp(isa, input.count, from.base, to.base)
      let output = to.values
      for (x, value) in zip(input, output) where x > -87.3 && x <= 88 {
        let expected = Reference.exponential(Double(x))
        #expect(abs(Double(value) - expected) <= 2 * Double(value.ulp), "e^\(x)")
      }
      #expect(output[4001] == 1)
      #expect(output[4002...4004].allSatisfy { $0 == 0 })
      #expect(output[4006] == output[4005] && output[4007] == output[4005])
      if reference.isEmpty { reference = output }
      #expect(bits(output) == bits(reference), "\(isa)")
    }
  }

  @Test(arguments: [(2, 2, 3), (6, 10, 3), (4, 2, 12), (10, 6, 17)])
  func `the Haar transform is exact on small integers and comes back`(
    sizes: (height: Int, width: Int, channels: Int)
  ) {
    let (height, width, channels) = sizes
    let input = draw("pixels", height * width * channels).map { ($0 * 128).rounded(.down) }
    for isa in Self.sets {
      let from = AlignedArray(input)
      let (bands, back) = (AlignedArray(count: input.count), AlignedArray(count: input.count))
      ckernels_haar(isa, height, width, channels, from.base, bands.base)
      // The first block's bands of channel 0, from their definition.
      let (a, b) = (input[0], input[channels])
      let (c, d) = (input[width * channels], input[(width + 1) * channels])
      #expect(bands.base[0] == (a + b + c + d) / 4)
      #expect(bands.base[channels] == (a + b - c - d) / 4)
      #expect(bands.base[2 * channels] == (a - b + c - d) / 4)
      #expect(bands.base[3 * channels] == (a - b - c + d) / 4)
      ckernels_inverse_haar(isa, height / 2, width / 2, channels, bands.base, back.base)
      #expect(back.values == input)
    }
  }

  @Test(arguments: [(1, 1), (5, 3), (7, 17), (9, 48)])
  func `blocks hold the channels and zeros`(sizes: (positions: Int, channels: Int)) {
    let (positions, channels) = sizes
    let input = draw("input", positions * channels)
    let expected = AlignedArray(blocking: input, channels: channels)
    for isa in Self.sets {
      let from = AlignedArray(input)
      let blocked = AlignedArray([Float](repeating: .nan, count: expected.count))
      ckernels_to_blocks(isa, positions, channels, from.base, blocked.base)
      #expect(blocked.values == expected.values)
      let back = AlignedArray(count: input.count)
      ckernels_from_blocks(isa, positions, channels, blocked.base, back.base)
      #expect(back.values == input)
    }
  }
}

extension ConvolutionSizes {
  /// Weights in the order of the direct kernels.
  fileprivate func packed(_ weights: AlignedArray, taps: Int) -> AlignedArray {
    let packed = AlignedArray(count: ckernels_packed_direct_size(output, input, taps))
    ckernels_pack_direct(output, input, taps, weights.base, packed.base)
    return packed
  }
}
