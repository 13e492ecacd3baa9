/// Random numbers that are a function of where they are used: Philox4x32-10 (Salmon and others, SC 2011).
///
/// The key is the seed; the counter is the sample, the position in it, and the number of the draw. So the
/// numbers do not depend on the order of images, on threads or on restarts.
package struct CounterRandom: Hashable, Sendable {
  /// The key.
  package let seed: UInt64
  /// Which sample: any number that stays with it.
  package let sample: UInt64

  /// Creates the numbers of one sample.
  package init(seed: UInt64, sample: UInt64) {
    (self.seed, self.sample) = (seed, sample)
  }

  /// Four numbers of one position.
  ///
  /// - Parameters:
  ///   - block: Draws 4 · block to 4 · block + 3.
  ///   - position: The position in the sample.
  /// - Returns: 32 random bits each.
  package func words(block: UInt32, position: UInt32) -> SIMD4<UInt32> {
    var counter = SIMD4(
      block,
      position,
      UInt32(truncatingIfNeeded: sample),
      UInt32(truncatingIfNeeded: sample >> 32)
    )
    var key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    for _ in 0..<10 {
      let first = UInt64(0xD251_1F53) * UInt64(counter[0])
      let second = UInt64(0xCD9E_8D57) * UInt64(counter[2])
      counter = SIMD4(
        UInt32(truncatingIfNeeded: second >> 32) ^ counter[1] ^ key.0,
        UInt32(truncatingIfNeeded: second),
        UInt32(truncatingIfNeeded: first >> 32) ^ counter[3] ^ key.1,
        UInt32(truncatingIfNeeded: first)
      )
      key = (key.0 &+ 0x9E37_79B9, key.1 &+ 0xBB67_AE85)
    }
    return counter
  }

  /// The draw with the largest of score / temperature + Gumbel noise, the lowest of equal ones: a draw from the
  /// softmax of the scores.
  ///
  /// - Parameters:
  ///   - scores: One a class.
  ///   - temperature: What the scores are divided by.
  ///   - position: The position in the sample.
  ///   - first: The number of the first draw; each class takes one.
  /// - Returns: The place of the winner.
  package func gumbelMaximum(
    _ scores: ArraySlice<Float>,
    temperature: Double,
    position: Int,
    first: Int = 0
  ) -> Int {
    var (best, winner) = (-Double.infinity, 0)
    var (block, words) = (-1, SIMD4<UInt32>())
    for (choice, score) in scores.enumerated() {
      let draw = first + choice
      if draw / 4 != block {
        block = draw / 4
        words = self.words(
          block: UInt32(truncatingIfNeeded: block),
          position: UInt32(truncatingIfNeeded: position)
        )
      }
      // Uniform between 0 and 1, neither of which it is.
      let uniform = (Double(words[draw % 4]) + 0.5) * 0x1p-32
      let noise = -ElementaryFunctions.log(-ElementaryFunctions.log(uniform))
      let value = Double(score) / temperature + noise
      if value > best { (best, winner) = (value, choice) }
    }
    return winner
  }
}
