import ArgumentParser
import TesseraCheckpoints
import TesseraCore
import TesseraStateSpaces

/// Another sampling rate.
struct SSMRateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rate",
    abstract: "Change the sampling rate of a system that stores its step.",
    usage: "tessera ssm rate <input> --factor <factor> [<options>]",
    discussion: """
      dt is multiplied by --factor: 2 suits a signal with half the sampling frequency. Where a \
      low-rank file stores S4's C (I - A_bar^L) (l_kernel is L), C is restored first with the old \
      step, which makes the change exact; l_kernel becomes 0. --factor 1 does only that. A_bar and \
      B_bar are made anew where they are stored. With --s4 PREFIX one layer of a checkpoint of \
      state-spaces/s4 becomes a state-space file; with --s4-checkpoint the whole checkpoint is \
      written, every layer at the new rate.

      EXAMPLE
        tessera ssm rate model.safetensors --factor 2 -o half-rate.safetensors
        tessera ssm rate s4.safetensors --s4-checkpoint --factor 2 \\
          -o half-rate.safetensors
      """
  )

  @Argument(help: "A state-space file with dt.", completion: .file())
  var input: String

  @Option(help: "The new time between samples over the old one.")
  var factor: Double

  @Flag(help: "Change every layer of a checkpoint of state-spaces/s4 and keep its other tensors.")
  var s4Checkpoint = false

  @OptionGroup var structure: StructureOption
  @OptionGroup var destination: StateSpaceOutput

  func validate() throws {
    guard !s4Checkpoint || (structure.s4 == nil && destination.output != nil) else {
      throw ValidationError("--s4-checkpoint needs -o, and no --s4 beside it.")
    }
  }

  func run() throws {
    if s4Checkpoint { return try changeCheckpoint() }
    let (file, structure) = try structure.read(input)
    let result = try TesseraError.naming(input) {
      try file.resampled(by: factor, structure: structure)
    }
    try destination.finish(result, verb: "rate", reading: [input])
  }

  private func changeCheckpoint() throws {
    guard let output = destination.output else { preconditionFailure("validate() has checked it") }
    let checkpoint = try structure.transforms.open(input)
    let result = try TesseraError.naming(input) { try checkpoint.resampled(by: factor) }
    var metadata = result.attributes
    metadata["tessera.ssm.rate"] = "dt times \(factor); C restored, l_kernel 0"
    try CheckpointFile.write(result.tensors, to: output, metadata: metadata, reading: [input])
    destination.reporting.note(
      "ssm rate: \(checkpoint.layers.count) layers of \(result.tensors.count) tensors"
    )
  }
}
