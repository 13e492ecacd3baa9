import ArgumentParser
import Foundation
import TesseraCore
import TesseraTokenizers

/// `tessera-bench kernels`: each kernel alone, beside the multiply-adds that the core can do.
struct BenchKernelsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernels",
    abstract: "Measure each kernel of the networks on one core against a loop of multiply-adds.",
    discussion: """
      The loop and the kernels take turns; figures are medians of processor time. The share of a 1x1
      convolution is that of the matrix product's microkernel.

      EXAMPLE
        tessera-bench kernels --instructions avx2
      """
  )

  @Option(help: "The instructions; all that this processor has fast ones for, unless given.")
  var instructions: InstructionSet?

  @Option(help: "How often each kernel is measured, after one time that is not.")
  var runs = 9

  func validate() throws {
    guard runs > 0 else { throw ValidationError("--runs must be at least 1") }
    if let instructions, !instructions.isSupported {
      throw ValidationError("this processor has no \(instructions.rawValue)")
    }
  }

  func run() async throws {
    let fast = InstructionSet.allCases.filter { $0 != .baseline && $0.isSupported }
    let sets = instructions.map { [$0] } ?? (fast.isEmpty ? [.best] : fast)
    for set in sets {
      var lines: [Measurement] = []
      var peaks: [Double] = []
      for sample in Self.samples { lines += try measure(sample, set, &peaks) }
      try Measurement.print(lines, peak: Measurement.median(peaks))
    }
  }

  /// A network of one layer, and the kind of its kernels that is measured.
  private struct Sample {
    let name: String
    let kind: KernelKind
    let size: Int
    let layer: NetworkLayer
  }

  private static let samples: [Sample] = {
    var samples: [Sample] = []
    for (channels, size) in [(64, 64), (128, 32), (128, 128), (256, 64), (512, 16)] {
      let geometries: [(KernelKind, Convolution.Geometry, String)] = [
        (.pointwise, .pointwise, "1x1"), (.direct, .halving, "3x3 stride 2"),
        (.winograd, .same, "3x3"), (.winograd, .doubling, "3x3 upsampled"),
      ]
      for (kind, geometry, name) in geometries {
        let convolution = Convolution("conv", channels, channels, geometry)
        samples.append(
          Sample(
            name: "\(name) convolution, \(channels) channels at \(size) x \(size)",
            kind: kind,
            size: size,
            layer: .convolution(convolution)
          )
        )
      }
      samples.append(
        Sample(
          name: "GroupNorm and SiLU, \(channels) channels at \(size) x \(size)",
          kind: .normalization,
          size: size,
          layer: .normalization(GroupNormalization("norm", channels))
        )
      )
    }
    for (channels, size) in [(512, 16), (512, 32)] {
      samples.append(
        Sample(
          name: "attention, \(channels) channels over \(size * size) positions",
          kind: .attention,
          size: size,
          layer: .attention(AttentionBlock("attention", channels))
        )
      )
    }
    return samples
  }()

  private func measure(
    _ sample: Sample,
    _ set: InstructionSet,
    _ peaks: inout [Double]
  ) throws -> [Measurement] {
    let graph = try NetworkGraph(
      inputChannels: sample.layer.normalizations.first?.channels
        ?? sample.layer.convolutions[0].inputChannels,
      layers: [sample.layer]
    )
    let workspace = try NetworkWorkspace(
      try DrawnNumbers.network(graph),
      height: sample.size,
      width: sample.size,
      instructions: set
    )
    let input = DrawnNumbers.values("image", count: workspace.inputCount)
    var output: [Float] = []
    try workspace.run(input, into: &output)
    var times: [Double] = []
    var multiplyAdds = 0
    for _ in 0..<runs {
      peaks.append(Measurement.peak(set))
      let timings = try workspace.timings(of: input, into: &output).filter {
        $0.kind == sample.kind
      }
      times.append(timings.reduce(0) { $0 + $1.duration / .seconds(1) })
      multiplyAdds = timings.reduce(0) { $0 + $1.multiplyAdds }
    }
    let time = Measurement.median(times)
    let rate = multiplyAdds == 0 ? nil : 2 * Double(multiplyAdds) / time / 1e9
    return [
      Measurement(
        what: sample.name,
        instructions: set.rawValue,
        milliseconds: time * 1e3,
        gigaflops: rate,
        shareOfPeak: rate.map { $0 / Measurement.median(peaks) }
      )
    ]
  }
}
