import ArgumentParser
import Foundation
import TesseraCore
import TesseraTokenizers

/// `tessera-bench network`: one image through an encoder on one core.
struct BenchNetworkCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "network",
    abstract:
      "Measure an encoder's network on one core: time by kind of kernel, share of the peak.",
    discussion: """
      Weights are drawn, so that the large shape needs no checkpoint. Rates count multiply-adds as direct
      convolutions would need them; Winograd's algorithm needs fewer, so shares above 1 are possible.

      EXAMPLE
        tessera-bench network --shape vq-16 --size 256
      """
  )

  @Option(help: "The network: \(NetworkShape.allCases.map(\.rawValue).joined(separator: ", ")).")
  var shape = NetworkShape.tesseraF8

  @Option(help: "The image's height and width in pixels.")
  var size = 256

  @Option(help: "How many images are measured, after one that is not.")
  var runs = 9

  @Option(
    help: "The instructions: \(InstructionSet.allCases.map(\.rawValue).joined(separator: ", "))."
  )
  var instructions = InstructionSet.best

  @Option(help: "Write the latents of the drawn image to this .npy file.", completion: .file())
  var output: String?

  func validate() throws {
    guard runs > 0 else { throw ValidationError("--runs must be at least 1") }
    guard instructions.isSupported else {
      throw ValidationError("this processor has no \(instructions.rawValue)")
    }
  }

  func run() async throws {
    let network = try shape.network()
    let workspace = try NetworkWorkspace(
      network,
      height: size,
      width: size,
      instructions: instructions
    )
    let input = DrawnNumbers.values("image", count: workspace.inputCount)
    var latents: [Float] = []
    try workspace.run(input, into: &latents)
    var rounds: [[KernelTiming]] = []
    var seconds: [Double] = []
    var peaks: [Double] = []
    for _ in 0..<runs {
      peaks.append(Measurement.peak(instructions))
      let begin = Measurement.cpuSeconds()
      rounds.append(try workspace.timings(of: input, into: &latents))
      seconds.append(Measurement.cpuSeconds() - begin)
    }
    try report(rounds, seconds: seconds, peaks: peaks, workspace)
    if let output {
      let channels = workspace.network.graph.outputChannels
      let shape: Shape = [workspace.outputHeight, workspace.outputWidth, channels]
      let file = try NPYFile.encode(Tensor(shape: shape, floats: latents))
      try Data(file).write(to: URL(filePath: output))
    }
  }

  private func report(
    _ rounds: [[KernelTiming]],
    seconds: [Double],
    peaks: [Double],
    _ workspace: NetworkWorkspace
  ) throws {
    let peak = Measurement.median(peaks)
    let graph = workspace.network.graph
    let multiplyAdds = Double(graph.multiplyAdds(height: size, width: size))
    let cpu = Measurement.median(seconds)
    var lines = [
      Measurement(
        what: "\(shape.rawValue) encoder at \(size) px",
        instructions: instructions.rawValue,
        milliseconds: cpu * 1e3,
        gigaflops: 2 * multiplyAdds / cpu / 1e9,
        shareOfPeak: 2 * multiplyAdds / cpu / 1e9 / peak
      )
    ]
    for kind in KernelKind.allCases {
      let times = rounds.map { round in
        round.filter { $0.kind == kind }.reduce(0) { $0 + $1.duration / .seconds(1) }
      }
      let sum = rounds[0].filter { $0.kind == kind }.reduce(0) { $0 + $1.multiplyAdds }
      let time = Measurement.median(times)
      guard time > 0 else { continue }
      let rate = 2 * Double(sum) / time / 1e9
      lines.append(
        Measurement(
          what: kind.rawValue,
          instructions: instructions.rawValue,
          milliseconds: time * 1e3,
          gigaflops: sum == 0 ? nil : rate,
          shareOfPeak: sum == 0 ? nil : rate / peak
        )
      )
    }
    try Measurement.print(lines, peak: peak)
  }
}
