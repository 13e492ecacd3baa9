import ArgumentParser
import Foundation
import TesseraCore
import TesseraTokenizers

/// `tessera-bench quantizer`: the nearest code of a codebook.
struct BenchQuantizerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantizer",
    abstract: "Measure the search for the best row of a codebook on one core.",
    discussion: """
      Codebook and latents are drawn from a hash, so that a peer can draw the same
      (scripts/bench_quantizers.py). Figures are medians of processor time.

      EXAMPLE
        tessera-bench quantizer --codes 131072 --dimensions 256 --rule dot
      """
  )

  @Option(help: "Rows of the codebook.")
  var codes = 16_384

  @Option(help: "Dimensions of a row.")
  var dimensions = 8

  @Option(help: "Latents that are quantized at a time.")
  var positions = 256

  @Option(help: "l2, cosine or dot.")
  var rule: VectorQuantizer.Rule = .l2

  @Option(help: "The instructions; the best of this processor unless given.")
  var instructions: InstructionSet?

  @Option(help: "How often it is measured, after one time that is not.")
  var runs = 9

  @Option(name: .shortAndLong, help: "Where to write the codes (.npy).")
  var output: String?

  func validate() throws {
    guard runs > 0, codes > 0, dimensions > 0, positions > 0, rule != .logits else {
      throw ValidationError("numbers are from 1, and the rule is l2, cosine or dot")
    }
    if let instructions, !instructions.isSupported {
      throw ValidationError("this processor has no \(instructions.rawValue)")
    }
  }

  func run() throws {
    let set = instructions ?? .best
    let codebook = try Codebook(
      count: codes,
      dimensions: dimensions,
      values: DrawnNumbers.values("codebook", count: codes * dimensions)
    )
    let quantizer = try VectorQuantizer(rule: rule, codebook: codebook)
    let latents = DrawnNumbers.values("latents", count: positions * dimensions)
    let found = try quantizer.quantize(latents, instructions: set).codes
    var times: [Double] = []
    var peaks: [Double] = []
    for _ in 0..<runs {
      peaks.append(Measurement.peak(set))
      let begin = Measurement.cpuSeconds()
      _ = try quantizer.quantize(latents, instructions: set)
      times.append(Measurement.cpuSeconds() - begin)
    }
    let time = Measurement.median(times)
    let rate = 2 * Double(codes) * Double(dimensions) * Double(positions) / time / 1e9
    let peak = Measurement.median(peaks)
    let line = Measurement(
      what: "\(rule.rawValue), \(positions) latents over \(codes) codes of \(dimensions)",
      instructions: set.rawValue,
      milliseconds: time * 1e3,
      gigaflops: rate,
      shareOfPeak: rate / peak
    )
    if let output {
      var file = try AtomicFile(path: output)
      try file.write(try NPYFile.encode(Tensor(shape: [found.count], elements: found)))
      try file.commit()
    }
    try Measurement.print([line], peak: peak)
  }
}
