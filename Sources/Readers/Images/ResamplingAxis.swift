internal import CKernels

/// The fixed-point weights of one pass, for a range of its outputs.
///
/// Weights are Pillow's: computed in float64, normalised by their sum, rounded half away from zero to
/// 22 fractional bits. (Pillow 13, `Resample.c`; the nearest filter is its affine transform, whose
/// positions are summed step by step.)
struct ResamplingAxis: Hashable, Sendable {
  static let fractionBits = 22

  /// Weights of each output, padded with zeros to a multiple of 4.
  let taps: Int
  /// The first input of each output, counted from the first of `inputs`.
  let first: [UInt32]
  /// [outputs][taps].
  let weights: [Int32]
  /// The inputs that carry weight.
  let inputs: Range<Int>

  /// Plans the resampling of `inputCount` samples to `outputCount`, of which `outputs` are wanted.
  init(filter: ResamplingFilter, inputCount: Int, outputCount: Int, outputs: Range<Int>) {
    let windows =
      filter == .nearest
      ? Self.nearest(inputCount: inputCount, outputCount: outputCount, outputs: outputs)
      : outputs.map {
        Self.window(filter, inputCount: inputCount, outputCount: outputCount, output: $0)
      }
    let lowest = windows.map(\.first).min() ?? 0
    let highest = windows.map { $0.first + $0.weights.count }.max() ?? 0
    let longest = windows.map(\.weights.count).max() ?? 0
    let taps = (longest + 3) / 4 * 4
    var weights = [Int32](repeating: 0, count: windows.count * taps)
    for (index, window) in windows.enumerated() {
      for (tap, weight) in window.weights.enumerated() { weights[index * taps + tap] = weight }
    }
    self.taps = taps
    self.first = windows.map { UInt32($0.first - lowest) }
    self.weights = weights
    self.inputs = lowest..<highest
  }

  private static func window(
    _ filter: ResamplingFilter,
    inputCount: Int,
    outputCount: Int,
    output: Int
  ) -> (first: Int, weights: [Int32]) {
    let scale = Double(inputCount) / Double(outputCount)
    let filterScale = max(1, scale)
    let support = filter.support * filterScale
    let inverse = 1 / filterScale
    let center = (Double(output) + 0.5) * scale
    let first = max(0, Int(center - support + 0.5))
    let end = min(inputCount, Int(center + support + 0.5))
    var values = (first..<max(first, end)).map { input in
      filter.weight(at: (Double(input) - center + 0.5) * inverse)
    }
    let sum = values.reduce(0, +)
    if sum != 0 { values = values.map { $0 / sum } }
    return (
      first, values.map { Int32($0 * Double(1 << fractionBits) + ($0 < 0 ? -0.5 : 0.5)) }
    )
  }

  private static func nearest(
    inputCount: Int,
    outputCount: Int,
    outputs: Range<Int>
  ) -> [(first: Int, weights: [Int32])] {
    let scale = Double(inputCount) / Double(outputCount)
    var position = scale * 0.5
    var windows: [(first: Int, weights: [Int32])] = []
    for output in 0..<outputs.upperBound {
      let input = Int(position)
      if outputs.contains(output) {
        let isInside = input < inputCount
        windows.append((isInside ? input : inputCount - 1, [isInside ? 1 << fractionBits : 0]))
      }
      position += scale
    }
    return windows
  }
}
