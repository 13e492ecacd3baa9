import CKernels

/// Plain loops in double precision over channels-last arrays, to hold the kernels against.
enum Reference {
  /// A convolution: weights [out][in][kernel][kernel], zeros in front by `padding` and behind as needed.
  static func convolve(
    _ input: [Float],
    _ sizes: ConvolutionSizes,
    weights: [Float],
    bias: [Float],
    plus old: [Float]
  ) -> [Double] {
    let (height, width, channels) = (sizes.height, sizes.width, sizes.input)
    var output: [Double] = []
    for row in 0..<sizes.outputHeight {
      for column in 0..<sizes.outputWidth {
        for out in 0..<sizes.output {
          var sum = Double(bias[out]) + Double(old[output.count])
          for tap in 0..<sizes.kernel * sizes.kernel {
            var y = row * sizes.stride + tap / sizes.kernel - sizes.padding
            var x = column * sizes.stride + tap % sizes.kernel - sizes.padding
            if sizes.upsamples { (y, x) = (y >> 1, x >> 1) }
            guard y >= 0, x >= 0, y < height, x < width else { continue }
            for channel in 0..<channels {
              let weight = weights[(out * channels + channel) * sizes.kernel * sizes.kernel + tap]
              sum += Double(weight) * Double(input[(y * width + x) * channels + channel])
            }
          }
          output.append(sum)
        }
      }
    }
    return output
  }

  /// GroupNorm and, where asked for, SiLU.
  static func normalize(
    _ input: [Float],
    channels: Int,
    groups: Int,
    gain: [Float],
    bias: [Float],
    silu: Bool
  ) -> [Double] {
    let (positions, size) = (input.count / channels, channels / groups)
    var output = [Double](repeating: 0, count: input.count)
    for group in 0..<groups {
      let indices = (0..<positions).flatMap { position in
        (group * size..<(group + 1) * size).map { position * channels + $0 }
      }
      let mean = indices.reduce(0) { $0 + Double(input[$1]) } / Double(indices.count)
      let variance =
        indices.reduce(0) { sum, index in
          let deviation = Double(input[index]) - mean
          return sum + deviation * deviation
        } / Double(indices.count)
      for index in indices {
        let scaled = (Double(input[index]) - mean) / (variance + 1e-6).squareRoot()
        let value = scaled * Double(gain[index % channels]) + Double(bias[index % channels])
        output[index] = silu ? value / (1 + exponential(-value)) : value
      }
    }
    return output
  }

  /// Attention over queries, keys and values, each [tokens][channels].
  static func attend(_ qkv: [[Float]], tokens: Int, channels: Int) -> [Double] {
    var output: [Double] = []
    for query in 0..<tokens {
      let scores = (0..<tokens).map { key in
        (0..<channels).reduce(0.0) {
          $0 + Double(qkv[0][query * channels + $1]) * Double(qkv[1][key * channels + $1])
        } / Double(channels).squareRoot()
      }
      let top = scores.max() ?? 0
      let weights = scores.map { exponential($0 - top) }
      let sum = weights.reduce(0, +)
      for channel in 0..<channels {
        output.append(
          (0..<tokens).reduce(0) {
            $0 + weights[$1] / sum * Double(qkv[2][$1 * channels + channel])
          }
        )
      }
    }
    return output
  }

  /// e^x by halving the argument and its series, so that no library's rounding matters.
  static func exponential(_ x: Double) -> Double {
    var (sum, term) = (1.0, 1.0)
    for index in 1...20 {
      term *= x / 1024 / Double(index)
      sum += term
    }
    for _ in 0..<10 { sum *= sum }
    return sum
  }
}

/// The sizes of a convolution under test.
struct ConvolutionSizes: CustomStringConvertible, Sendable {
  var height: Int
  var width: Int
  var input: Int
  var output: Int
  var kernel = 3
  var stride = 1
  var padding = 1
  var upsamples = false

  var outputHeight: Int { extent(height) }
  var outputWidth: Int { extent(width) }
  var description: String { "\(input) to \(output) channels at \(height) x \(width)" }

  private func extent(_ extent: Int) -> Int {
    if upsamples { return extent * 2 }
    // Without padding in front, taming's rule puts one zero behind.
    return stride == 1 ? extent : padding == 0 ? extent / 2 : (extent + 1) / 2
  }
}

/// Floats at an address that is a multiple of 64, as the kernels want them.
final class AlignedArray {
  let base: UnsafeMutablePointer<Float>
  let count: Int

  /// Copies values and fills up with zeros.
  init(_ values: [Float], count: Int? = nil) {
    self.count = max(count ?? values.count, 1)
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: self.count * 4, alignment: 64)
    base = bytes.bindMemory(to: Float.self, capacity: self.count)
    base.initialize(repeating: 0, count: self.count)
    for (index, value) in values.enumerated() { base[index] = value }
  }

  /// Zeros.
  convenience init(count: Int) { self.init([], count: count) }

  /// Blocked activations from channels-last ones.
  convenience init(blocking values: [Float], channels: Int) {
    let positions = values.count / channels
    self.init(count: AlignedArray.blocked(positions, channels))
    for (index, value) in values.enumerated() {
      let (position, channel) = (index / channels, index % channels)
      base[(channel / 16 * positions + position) * 16 + channel % 16] = value
    }
  }

  deinit { base.deallocate() }

  /// The channels-last activations of blocked ones.
  func channelsLast(positions: Int, channels: Int) -> [Float] {
    (0..<positions * channels).map { index in
      let (position, channel) = (index / channels, index % channels)
      return base[(channel / 16 * positions + position) * 16 + channel % 16]
    }
  }

  /// All of it, the lanes beyond the last channel included.
  var values: [Float] { (0..<count).map { base[$0] } }

  /// The floats of blocked activations.
  static func blocked(_ positions: Int, _ channels: Int) -> Int {
    positions * ((channels + 15) / 16 * 16)
  }
}

/// The largest absolute difference from a reference in double precision.
func largestDifference(_ values: [Float], _ expected: [Double]) -> Double {
  guard values.count == expected.count else { return .nan }
  return zip(values, expected).reduce(0) { largest, pair in
    let difference = abs(Double(pair.0) - pair.1)
    return difference > largest || difference.isNaN ? difference : largest
  }
}
