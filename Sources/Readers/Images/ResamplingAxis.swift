internal import CKernels

/// The fixed-point weights of one pass, for a range of its outputs.
///
/// Weights are Pillow's: computed in float64, normalised by their sum, rounded half away from zero to
/// 22 fractional bits. (Pillow 13, `Resample.c`; the nearest filter is its affine transform, whose
/// positions are summed step by step.)
struct ResamplingAxis: Hashable, Sendable {
  static let fractionBits = 22

  /// Weights of each output, padded with zeros to a multiple of 16.
  let taps: Int
  /// The first input of each output, counted from the first of `inputs`.
  private(set) var first: [UInt32]
  /// [outputs][taps].
  private(set) var weights: [Int32]
  /// The weights' digits for byte products (`ckernels_resample_digits`).
  private(set) var digits: [Int8]
  /// The inputs that carry weight.
  private(set) var inputs: Range<Int>

  /// Plans the resampling of `inputCount` samples to `outputCount`, of which `outputs` are wanted.
  ///
  /// - Throws: An `ImageError` where the weights would take more than 4 bytes for each pixel allowed.
  init(
    filter: ResamplingFilter,
    inputCount: Int,
    outputCount: Int,
    outputs: Range<Int>,
    limits: ImageLimits
  ) throws(ImageError) {
    let scale = Double(inputCount) / Double(outputCount)
    let reach = filter == .nearest ? 0.5 : filter.support * max(1, scale)
    taps = (Int(reach.rounded(.up)) * 2 + 1 + 15) / 16 * 16
    guard ImageSize(width: outputs.count, height: taps).pixels <= limits.pixels else {
      throw ImageError(
        .overLimit,
        "\(outputs.count) resized rows or columns pass the limit of \(limits.pixels) pixels"
      )
    }
    weights = [Int32](repeating: 0, count: outputs.count * taps)
    first = [UInt32](repeating: 0, count: outputs.count)
    digits = []
    inputs = 0..<0
    if filter == .nearest {
      fillNearest(scale, inputCount: inputCount, outputs: outputs)
    } else {
      fill(filter, scale, inputCount: inputCount, outputs: outputs)
    }
    digits = [Int8](repeating: 0, count: weights.count * 3)
    unsafe ckernels_resample_digits(weights, UInt64(weights.count), &digits)
  }

  private mutating func fill(
    _ filter: ResamplingFilter,
    _ scale: Double,
    inputCount: Int,
    outputs: Range<Int>
  ) {
    let filterScale = max(1, scale)
    let support = filter.support * filterScale
    let inverse = 1 / filterScale
    var values = [Double](repeating: 0, count: taps)
    var lowest = inputCount
    var highest = 0
    for (index, output) in outputs.enumerated() {
      let center = (Double(output) + 0.5) * scale
      let start = max(0, Int(center - support + 0.5))
      let count = max(0, min(inputCount, Int(center + support + 0.5)) - start)
      var sum = 0.0
      for tap in 0..<count {
        values[tap] = filter.weight(at: (Double(tap + start) - center + 0.5) * inverse)
        sum += values[tap]
      }
      for tap in 0..<count {
        let value = sum == 0 ? values[tap] : values[tap] / sum
        let scaled = value * Double(1 << Self.fractionBits)
        weights[index * taps + tap] = Int32(scaled + (value < 0 ? -0.5 : 0.5))
      }
      first[index] = UInt32(start)
      lowest = min(lowest, start)
      highest = max(highest, start + count)
    }
    restrict(to: lowest..<highest)
  }

  private mutating func fillNearest(_ scale: Double, inputCount: Int, outputs: Range<Int>) {
    var position = scale * 0.5
    for output in 0..<outputs.upperBound {
      let input = Int(position)
      if outputs.contains(output) {
        let index = output - outputs.lowerBound
        first[index] = UInt32(min(input, inputCount - 1))
        // The sum of steps can pass the last sample; Pillow leaves such pixels black.
        weights[index * taps] = input < inputCount ? 1 << Self.fractionBits : 0
      }
      position += scale
    }
    let places = first.map { Int($0) }
    restrict(to: (places.min() ?? 0)..<((places.max() ?? -1) + 1))
  }

  /// Counts inputs from the first one that carries weight.
  private mutating func restrict(to used: Range<Int>) {
    inputs = used
    for index in first.indices { first[index] -= UInt32(used.lowerBound) }
  }
}
