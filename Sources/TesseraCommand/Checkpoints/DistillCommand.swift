import ArgumentParser
import Foundation
import TesseraCore
import TesseraDistillation
import TesseraRules

/// What a distillation begins with.
struct DistillCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "distill",
    abstract: "Prepare the files of a distillation.",
    discussion: """
      A distilled generator is made ready to ship by `convert`: --pick ema, --fold-sigma, \
      --golden, --bake; sparse targets of a language model are made by `soften`.

      EXAMPLE
        tessera distill triple edm-cifar10-32x32-uncond-vp.pkl --pick ema \\
          --sigma-data 0.5 -o sid/
      """,
    subcommands: [DistillTripleCommand.self]
  )
}

/// The three networks of score identity distillation.
struct DistillTripleCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "triple",
    abstract: "Write teacher, fake score and generator from one teacher.",
    usage: "tessera distill triple <teacher> --output <output> [<options>]",
    discussion: """
      SiD (arXiv 2404.04057) begins with three copies of an EDM network: the teacher, the fake \
      score that learns what the generator makes, and the generator G(z) = D(sigma_init z; \
      sigma_init). triple.json (schemas/triple.schema.json) contains their hashes, the constants \
      of the loss and the memory that training takes; it appears last. Networks that are not EDM's \
      SongUNet or DhariwalUNet are refused.

      EXAMPLE
        tessera distill triple edm-cifar10-32x32-uncond-vp.pkl --pick ema \\
          --sigma-data 0.5 -o sid/
        tessera distill triple teacher.safetensors --sigma-data 0.5 --alpha 1.0 \\
          -o sid/ --json
      """
  )

  @Argument(help: "The teacher: a checkpoint of any format.", completion: .file())
  var teacher: String

  @Option(name: .shortAndLong, help: "The folder to write to; it is made.", completion: .directory)
  var output: String

  @OptionGroup var selection: SelectionOptions

  @Option(help: "The generator's noise level.")
  var sigmaInit = 2.5

  @Option(help: "The data's standard deviation, where the file does not say it.")
  var sigmaData: Double?

  @Option(help: "The loss' alpha: 1.2, or 1.0 as for AFHQ.")
  var alpha = 1.2

  @Option(help: "The largest time of a noise level, of 1000.")
  var tMax = 800.0

  @OptionGroup var report: OutputOptions

  func run() async throws {
    let source = try SourceCheckpoint(path: teacher, selecting: selection.selection)
    let constants = try TrainingTriple.Constants(
      sigmaInit: sigmaInit,
      sigmaData: try sigmaData ?? GeneratorRequest.sigmaData(of: source.checkpoint),
      alpha: alpha,
      tMax: tMax
    )
    let triple = try TrainingTriple(
      of: source.checkpoint,
      constants: constants,
      toolVersion: ToolVersion.current
    )
    try OutputFolder.refuseDataset(around: output)
    try OutputFolder.make(output)
    let progress = ByteProgress("distill", bytes: triple.byteCount, isQuiet: report.quiet)
    let manifest = try await triple.write(to: output, progress: progress.show)
    report.note(
      "distill: \(manifest.tensors) tensors, \(manifest.parameters) parameters three times; training takes about "
        + "\(manifest.trainingBytes >> 20) MiB and its activations"
    )
    try report.report(manifest)
  }
}
