import ArgumentParser
import Conversion

/// Another sampling rate.
struct SSMRateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rate",
    abstract: "Change the sampling rate of a system that stores its step.",
    discussion: """
      dt is multiplied by --factor: 2 suits a signal with half the sampling frequency. Where a low-rank \
      file stores S4's C (I - A_bar^L) (l_kernel is L), C is restored first with the old step, which \
      makes the change exact; l_kernel becomes 0. --factor 1 does only that. A_bar and B_bar are made \
      anew where they are stored.

      EXAMPLE
        tessera ssm rate model.safetensors --factor 2 -o half-rate.safetensors
      """
  )

  @Argument(help: "A state-space file with dt.", completion: .file())
  var input: String

  @Option(help: "The new time between samples over the old one.")
  var factor: Double

  @OptionGroup var structure: StructureOption
  @OptionGroup var destination: StateSpaceOutput

  func run() throws {
    let (file, structure) = try structure.read(input)
    let result = try StateSpaceError.naming(input) {
      try file.resampled(by: factor, structure: structure)
    }
    try destination.finish(result, verb: "rate", reading: [input])
  }
}
