import CKernels
import TesseraCore
import Testing

/// The loops of state spaces and logits give the same bits under every instruction set.
@Suite struct StateSpaceKernelTests {
  private static let others = [CKERNELS_AVX2, CKERNELS_AVX512].filter(ckernels_supports)

  /// Numbers between -1 and 1 that look random.
  private func numbers(_ count: Int, seed: UInt64 = 1) -> [Double] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) * 0x1p-52 - 1
    }
  }

  private func states(
    _ isa: ckernels_isa,
    order: Int,
    _ step: (ckernels_signal, UnsafeMutablePointer<Double>, ckernels_rows) -> Void
  ) -> [Double] {
    let signal = numbers(50)
    let scales = [Double](repeating: 1, count: order)
    var rows = [Double](repeating: 0, count: 50 * order)
    var state = [Double](repeating: 0, count: order + 8)
    signal.withUnsafeBufferPointer { signal in
      scales.withUnsafeBufferPointer { scales in
        rows.withUnsafeMutableBufferPointer { rows in
          state.withUnsafeMutableBufferPointer { state in
            guard let samples = signal.baseAddress, let target = rows.baseAddress,
              let state = state.baseAddress
            else { return }
            step(
              ckernels_signal(samples: samples, stride: 1, count: 50, first: 0),
              state,
              ckernels_rows(rows: target, stride: order, every: 1, scales: scales.baseAddress)
            )
          }
        }
      }
    }
    return rows
  }

  @Test(arguments: 0...4, [1, 7, 8, 33])
  func `legs steps`(convention: UInt32, order: Int) {
    let norms = (0..<order).map { Double(2 * $0 + 1).squareRoot() }
    func run(_ isa: ckernels_isa) -> [Double] {
      var scratch = [Double](repeating: 0, count: 2 * (order + 8))
      return states(isa, order: order) { signal, state, rows in
        ckernels_legs_steps(
          isa,
          ckernels_legs_convention(rawValue: convention),
          order,
          norms,
          &scratch,
          signal,
          state,
          rows
        )
      }
    }
    let expected = run(CKERNELS_BASELINE)
    #expect(expected.allSatisfy(\.isFinite) && expected.contains { $0 != 0 })
    for isa in Self.others { #expect(run(isa) == expected) }
  }

  @Test(arguments: [1, 8, 70])
  func `dense steps`(order: Int) {
    let padded = (order + 7) / 8 * 8
    let columns = numbers(order * padded, seed: 2).map { $0 / Double(order) }
    let input = numbers(padded, seed: 3)
    func run(_ isa: ckernels_isa) -> [Double] {
      var scratch = [Double](repeating: 0, count: padded)
      return states(isa, order: order) { signal, state, rows in
        ckernels_dense_steps(isa, order, padded, columns, input, &scratch, signal, state, rows)
      }
    }
    let expected = run(CKERNELS_BASELINE)
    for isa in Self.others { #expect(run(isa) == expected) }
    // The first states, by a double loop.
    let signal = numbers(50)
    var state = [Double](repeating: 0, count: order)
    for step in 0..<3 {
      state = (0..<order).map { row in
        (0..<order).reduce(input[row] * signal[step]) {
          $0 + columns[$1 * padded + row] * state[$1]
        }
      }
      for row in 0..<order { #expect(abs(expected[step * order + row] - state[row]) < 1e-14) }
    }
  }

  @Test(arguments: [(1, 1), (3, 100), (5, 128), (4, 1000)])
  func `vandermonde`(modes: Int, length: Int) {
    let values = numbers(2 * modes, seed: 4).map { $0 * 0.7 }
    let weights = numbers(2 * modes, seed: 5)
    func run(_ isa: ckernels_isa) -> [Double] {
      var kernel = [Double](repeating: 0, count: length)
      var scratch = [Double](repeating: 0, count: ckernels_vandermonde_scratch(modes, length))
      ckernels_vandermonde(isa, modes, length, values, weights, &kernel, &scratch)
      return kernel
    }
    let expected = run(CKERNELS_BASELINE)
    for isa in Self.others { #expect(run(isa) == expected) }
    var (real, imaginary) = (
      Array(repeating: 1.0, count: modes), Array(repeating: 0.0, count: modes)
    )
    for l in 0..<length {
      var sum = 0.0
      for n in 0..<modes {
        sum += weights[2 * n] * real[n] - weights[2 * n + 1] * imaginary[n]
        (real[n], imaginary[n]) = (
          real[n] * values[2 * n] - imaginary[n] * values[2 * n + 1],
          real[n] * values[2 * n + 1] + imaginary[n] * values[2 * n]
        )
      }
      #expect(abs(expected[l] - 2 * sum) < 1e-13)
    }
  }

  @Test(arguments: [1, 15, 16, 100, 5000])
  func `logits are widened, summed and sieved`(count: Int) {
    // Halves of many sizes, subnormal ones among them, none infinite.
    let halves = (0..<count).map { UInt16(truncatingIfNeeded: $0 &* 40_503) & 0xFBFF } + [0]
    func run(_ isa: ckernels_isa) -> (Float, [Float], Double, [UInt32], [Float]) {
      var floats = [Float](repeating: 0, count: count)
      let top = ckernels_logits_widen(isa, CKERNELS_LOGITS_HALF, count, halves, &floats)
      let sum = ckernels_logits_sum(isa, count, floats, top, 0.001)
      var places = [UInt32](repeating: 0, count: count)
      var values = floats
      let found = ckernels_logits_above(isa, count, floats, 0.5, &places, &values)
      return (top, floats, sum, Array(places[..<found]), Array(values[..<found]))
    }
    let expected = run(CKERNELS_BASELINE)
    let floats = halves[..<count].map { Float(half: $0) }
    #expect(expected.1 == floats && expected.0 == floats.max())
    #expect(expected.3.map { floats[Int($0)] } == floats.filter { $0 > 0.5 })
    #expect(expected.4 == floats.filter { $0 > 0.5 })
    for isa in Self.others {
      let isEqual = run(isa) == expected
      #expect(isEqual)
    }
  }

  @Test func `a row that is not finite is known by its largest value`() {
    for (bits, isBad) in [(UInt16(0x7C00), true), (0x7E00, true), (0xFE00, true), (0xFC00, false)] {
      for place in [0, 17, 39] {
        var halves = [UInt16](repeating: 0x3C00, count: 40)
        halves[place] = bits
        var floats = [Float](repeating: 0, count: 40)
        let top = ckernels_logits_widen(
          CKERNELS_BASELINE,
          CKERNELS_LOGITS_HALF,
          40,
          halves,
          &floats
        )
        #expect(top.isNaN == isBad)
      }
    }
  }
}
