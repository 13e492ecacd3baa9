internal import CKernels
import TesseraCore

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
  let first: [UInt32]
  /// [outputs][taps].
  private(set) var weights: [Int32]
  /// The weights' digits for byte products (`ckernels_resample_digits`).
  private(set) var digits: [Int8]
  /// The inputs that carry weight.
  let inputs: Range<Int>

  /// Plans the resampling of `inputCount` samples to `outputCount`, of which `outputs` are wanted.
  ///
  /// - Throws: An `TesseraError` where the weights would take more than 4 bytes for each pixel allowed.
  init(
    filter: ResamplingFilter,
    inputCount: Int,
    outputCount: Int,
    outputs: Range<Int>,
    limits: ImageLimits
  ) throws(TesseraError) {
    let refusal = TesseraError.picture(
      .overLimit,
      "\(outputs.count) resized rows or columns pass the limit of \(limits.pixels) pixels"
    )
    guard outputs.count <= limits.pixels else { throw refusal }
    let scale = Double(inputCount) / Double(outputCount)
    let windows =
      filter == .nearest
      ? Self.nearestWindows(scale, inputCount: inputCount, outputs: outputs)
      : Self.windows(filter, scale, inputCount: inputCount, outputs: outputs)
    let lowest = windows.lazy.map(\.lowerBound).min() ?? 0
    let highest = windows.lazy.map(\.upperBound).max() ?? 0
    let longest = windows.lazy.map(\.count).max() ?? 0
    let taps = (longest + 15) / 16 * 16
    guard ImageSize(width: outputs.count, height: taps).pixels <= limits.pixels else {
      throw refusal
    }
    self.taps = taps
    inputs = lowest..<highest
    // A window at the far edge starts earlier, behind zeros: so no load passes the last input by more
    // than the 15 taps of rounding.
    first = windows.map { UInt32(max(0, min($0.lowerBound, highest - taps) - lowest)) }
    weights = [Int32](repeating: 0, count: outputs.count * taps)
    digits = [Int8](repeating: 0, count: weights.count * 3)
    for (index, output) in outputs.enumerated() {
      let window = windows[index]
      let place = index * taps + window.lowerBound - lowest - Int(first[index])
      if filter == .nearest {
        if !window.isEmpty { weights[place] = 1 << Self.fractionBits }
      } else {
        fill(place, filter, scale, output: output, window: window)
      }
    }
    unsafe ckernels_resample_digits(weights, UInt64(weights.count), &digits)
  }

  /// Writes the weights of one output from `place` on.
  private mutating func fill(
    _ place: Int,
    _ filter: ResamplingFilter,
    _ scale: Double,
    output: Int,
    window: Range<Int>
  ) {
    let center = (Double(output) + 0.5) * scale
    let inverse = 1 / max(1, scale)
    var sum = 0.0
    for input in window { sum += filter.weight(at: (Double(input) - center + 0.5) * inverse) }
    for (tap, input) in window.enumerated() {
      var weight = filter.weight(at: (Double(input) - center + 0.5) * inverse)
      if sum != 0 { weight /= sum }
      weights[place + tap] = Int32(
        weight * Double(1 << Self.fractionBits) + (weight < 0 ? -0.5 : 0.5)
      )
    }
  }

  /// The inputs under each output's kernel.
  private static func windows(
    _ filter: ResamplingFilter,
    _ scale: Double,
    inputCount: Int,
    outputs: Range<Int>
  ) -> [Range<Int>] {
    let support = filter.support * max(1, scale)
    return outputs.map { output in
      let center = (Double(output) + 0.5) * scale
      let start = max(0, Int(center - support + 0.5))
      return start..<max(start, min(inputCount, Int(center + support + 0.5)))
    }
  }

  /// One input for each output; none where the sum of steps passes the last, which Pillow leaves black.
  private static func nearestWindows(
    _ scale: Double,
    inputCount: Int,
    outputs: Range<Int>
  ) -> [Range<Int>] {
    var position = scale * 0.5
    var windows: [Range<Int>] = []
    for output in 0..<outputs.upperBound {
      let input = min(Int(position), inputCount)
      if outputs.contains(output) { windows.append(input..<min(input + 1, inputCount)) }
      position += scale
    }
    return windows
  }
}
