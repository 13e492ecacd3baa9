import CKernels
import Testing

/// The passes of resampling, compared with the sums written out, on every instruction set of this CPU.
@Suite struct ImagesKernelTests {
  private static let instructionSets = [CKERNELS_BASELINE, CKERNELS_AVX2, CKERNELS_AVX512]
    .filter { ckernels_supports($0) }

  /// A small generator (xorshift), so that a failure comes again.
  private struct Bits: RandomNumberGenerator {
    var state: UInt64 = 88_172_645_463_325_252
    mutating func next() -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state
    }
  }

  /// Weights whose sums stay inside 32 bits, as those of every filter do.
  private static func weights(_ count: Int, taps: Int, _ bits: inout Bits) -> [Int32] {
    let most = Int32(6_000_000 / taps)
    return (0..<count).map { _ in Int32.random(in: (-most / 2)...most, using: &bits) }
  }

  private static func clipped(_ sum: Int) -> UInt8 {
    UInt8(max(0, min(255, (sum + (1 << 21)) >> 22)))
  }

  @Test(arguments: [1, 2, 3, 7, 16, 33, 100], [16, 32, 48])
  func `a horizontal pass is the clipped sum`(outputs: Int, taps: Int) {
    var bits = Bits()
    let width = outputs + taps
    let row = (0..<(width * 4 + 64)).map { _ in UInt8.random(in: 0...255, using: &bits) }
    let weights = Self.weights(outputs * taps, taps: taps, &bits)
    let first = (0..<outputs).map { _ in UInt32.random(in: 0...UInt32(outputs), using: &bits) }
    let expected = (0..<(outputs * 4)).map { place in
      let (output, channel) = (place / 4, place % 4)
      return Self.clipped(
        (0..<taps).reduce(0) { sum, tap in
          sum + Int(row[(Int(first[output]) + tap) * 4 + channel])
            * Int(weights[output * taps + tap])
        }
      )
    }
    var digits = [Int8](repeating: 0, count: weights.count * 3)
    ckernels_resample_digits(weights, UInt64(weights.count), &digits)
    for instructions in Self.instructionSets {
      var result = [UInt8](repeating: 0, count: outputs * 4)
      first.withUnsafeBufferPointer { first in
        weights.withUnsafeBufferPointer { weights in
          digits.withUnsafeBufferPointer { digits in
            var axis = ckernels_resample_axis(
              outputs: UInt32(outputs),
              taps: UInt32(taps),
              first: first.baseAddress,
              weights: weights.baseAddress,
              digits: digits.baseAddress
            )
            ckernels_resample_row(instructions, &axis, row, &result)
          }
        }
      }
      #expect(result == expected, "\(instructions)")
    }
  }

  @Test(arguments: [64, 192], [1, 3, 13, 40])
  func `a vertical pass is the clipped sum`(count: Int, taps: Int) {
    var bits = Bits()
    let stride = count + 64
    let rows = (0..<(stride * taps)).map { _ in UInt8.random(in: 0...255, using: &bits) }
    let weights = Self.weights(taps, taps: taps, &bits)
    let expected = (0..<count).map { x in
      Self.clipped((0..<taps).reduce(0) { $0 + Int(rows[$1 * stride + x]) * Int(weights[$1]) })
    }
    for instructions in Self.instructionSets {
      var result = [UInt8](repeating: 0, count: count)
      ckernels_resample_column(
        instructions,
        weights,
        UInt32(taps),
        rows,
        UInt64(stride),
        UInt64(count),
        &result
      )
      #expect(result == expected, "\(instructions)")
    }
  }
}
