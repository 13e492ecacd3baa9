import Foundation

/// The divisors of rotary frequencies that LLaMA 3 was trained with.
///
/// Waves that turn often within the first context stay, slow ones are stretched by `factor`, and
/// between them the frequencies are mixed. llama.cpp keeps the divisors as a tensor.
struct RotaryFactors: Hashable, Sendable {
  /// The name of the tensor in GGUF.
  static let tensorName = "rope_freqs.weight"
  /// What slow waves are stretched by.
  let factor: Double
  /// Waves longer than the first context divided by this one are slow.
  let lowFrequencyFactor: Double
  /// Waves shorter than the first context divided by this one stay.
  let highFrequencyFactor: Double
  /// The context of the first training, in tokens.
  let originalContext: Int
}

extension RotaryFactors {
  /// The settings of LLaMA 3.1, which its later versions share but for the factor.
  init(usualWith factor: Double) {
    self.init(
      factor: factor,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalContext: 8192
    )
  }

  /// The divisors for heads of this width and frequencies of this base, each rounded once.
  func values(width: Int, base: Double) -> [Float] {
    stride(from: 0, to: width, by: 2).map { index in
      let wave = 2 * Double.pi * pow(base, Double(index) / Double(width))
      let turns = Double(originalContext) / wave
      if turns > highFrequencyFactor { return 1 }
      if turns < lowFrequencyFactor { return Float(factor) }
      let share = (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
      return Float(1 / ((1 - share) / factor + share))
    }
  }

  /// Whether these are the divisors that a file holds, up to what another program rounds on its way.
  func matches(_ stored: [Float], width: Int, base: Double) -> Bool {
    let values = values(width: width, base: base)
    return values.count == stored.count
      && zip(values, stored).allSatisfy { abs($0 - $1) <= 1e-4 * abs($0) }
  }
}
