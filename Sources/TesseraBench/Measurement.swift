import Foundation
import TesseraCore
import TesseraTokenizers

/// One figure of `tessera-bench kernels` and `tessera-bench network`.
struct Measurement: Encodable {
  /// What was measured.
  let what: String
  /// The instructions that computed it.
  let instructions: String
  /// The median time.
  let milliseconds: Double
  /// 10^9 floating-point operations a second, counted as a direct computation's.
  let gigaflops: Double?
  /// The rate as a share of that of multiply-adds in registers, measured in between.
  let shareOfPeak: Double?

  private enum CodingKeys: String, CodingKey {
    case what, instructions, milliseconds, gigaflops
    case shareOfPeak = "share_of_peak"
  }

  /// Prints figures: JSON lines to standard output, a table to standard error.
  static func print(_ lines: [Measurement], peak: Double) throws {
    Figures.note("multiply-add loop: \(rounded(peak)) GF/s")
    for line in lines {
      var text = "\(line.what), \(line.instructions): \(rounded(line.milliseconds)) ms"
      if let rate = line.gigaflops, let share = line.shareOfPeak {
        text += ", \(rounded(rate)) GF/s, \(rounded(share * 100)) % of the loop"
      }
      Figures.note(text)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      try StandardOutput.print(String(decoding: try encoder.encode(line), as: UTF8.self))
    }
  }

  /// A number with so many decimal places.
  static func rounded(_ value: Double, places: Int = 2) -> String {
    String(format: "%.\(places)f", value)
  }

  /// The middle of the values, the lower of two.
  static func median(_ values: [Double]) -> Double {
    values.isEmpty ? 0 : values.sorted()[(values.count - 1) / 2]
  }

  /// The processor time of this process, which other processes do not lengthen.
  static func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// 10^9 operations a second of multiply-adds in registers, over some milliseconds.
  static func peak(_ instructions: InstructionSet) -> Double {
    let begin = cpuSeconds()
    let operations = instructions.multiplyAddLoop(
      rounds: instructions == .baseline ? 100_000 : 2_000_000
    )
    return operations / (cpuSeconds() - begin) / 1e9
  }
}
