import ArgumentParser
import TesseraCore
import TesseraStateSpaces

/// The convolution kernel of a system.
struct SSMKernelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kernel",
    abstract: "Write the convolution kernel K[l] = C A_bar^l B_bar.",
    discussion: """
      Without --method the file's own A_bar and B_bar are used; without --dt its own dt. Dense \
      systems with C [N] or [channels, N] yield [L] or [channels, L], without C each state's \
      response [L, N]. Diagonal (Lambda, B, C) and low-rank systems (with P) are summed over one \
      of each conjugate pair, 2 Re; without C it counts as ones. Where C has several rows a \
      channel, as a layer of S4 with more channels or a second direction, they yield [outputs, \
      channels, L]. D is no part of a kernel; what else is not used is named.

      EXAMPLE
        tessera ssm kernel s4d.safetensors --method zoh --dt 0.001 \\
          --length 16384 -o K.npy
      """
  )

  @Argument(help: "A state-space file.", completion: .file())
  var input: String

  @OptionGroup var stepping: SteppingOptions

  @Option(help: "The number of samples.")
  var length: Int

  @Option(help: "The precision of the kernel.")
  var dtype = FloatType.float64

  @Option(
    name: .shortAndLong,
    help: "Where to write (.npy); optional with --json.",
    completion: .file(extensions: ["npy"])
  )
  var output: String?

  @OptionGroup var structure: StructureOption
  @OptionGroup var reporting: OutputOptions

  func validate() throws {
    guard output != nil || reporting.json else {
      throw ValidationError("Name an output with -o, or print the kernel with --json.")
    }
  }

  func run() throws {
    let (file, structure) = try structure.read(input)
    let (kernel, unused) = try TesseraError.naming(input) {
      let discrete = try file.discrete(method: stepping.method, steps: try stepping.lengths())
      var used = StateSpaceFile.kernelParts(discrete, structure)
      if stepping.dt != nil { used.remove("dt") }
      return (
        try file.kernel(discrete, length: length, structure: structure), file.unused(besides: used)
      )
    }
    if let output {
      try TesseraError.naming(input) { try kernel.write(to: output, as: dtype, reading: [input]) }
    }
    reporting.note("ssm kernel: \(dtype.rawValue) \(kernel.storedShape)")
    reporting.note(unused: unused, verb: "kernel")
    var printed = StateSpaceFile(arrays: ["K": kernel], metadata: [:])
    printed.unused = unused
    try reporting.print(printed)
  }
}
