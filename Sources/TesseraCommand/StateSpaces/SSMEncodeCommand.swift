import ArgumentParser
import TesseraCore
import TesseraStateSpaces

/// A signal to the states of a system.
struct SSMEncodeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "encode",
    abstract: "Stream a signal through a system; write the state after each sample.",
    usage: "tessera ssm encode <input> --measure <m> --order <n> -o <out> [<options>]",
    discussion: """
      SIGNAL.npy contains real numbers [samples] or [samples, channels]; the states are [rows, N] \
      or [rows, channels, N] (a last axis of 2 for complex ones). Row 0 is the state after the \
      first sample, which for LegS is u0 e0; hippo-py steps from K = 0. With --every M a row is \
      written after samples M, 2M, … and after the last. Files are streamed: they may be larger \
      than memory.

      With --method and --dt a system is stepped with constant coefficients; with --convention, or \
      with --method alone, legs and fourier-full are with their factor 1/t. Each step is the one \
      that 'ssm discretize' writes, --legs K for the sample after K.

      A step takes O(N): LegS with --convention (optimal is the exact projection of the step \
      function), and legs, legt, lmu, fout, lagt and s4d-… with --method backward, bilinear or \
      gbt:A. zoh of a system that is not diagonal multiplies by a dense A_bar; other steps with \
      the factor 1/t take O(N^3).

      EXAMPLE
        tessera ssm encode signal.npy --measure legs --order 256 \\
          --convention optimal -o states.npy
        tessera ssm encode signal.npy --measure legt --order 64 \\
          --method bilinear --dt 0.001 -o states.npy
      """
  )

  @Argument(help: "The signal (.npy).", completion: .file(extensions: ["npy"]))
  var input: String

  @OptionGroup var hippo: HippoOptions

  @Option(
    help: "Step by this rule: forward, backward, bilinear, gbt:A, zoh."
  )
  var method: DiscretizationMethod?

  @Option(help: "The time between samples, with --method: constant coefficients.")
  var dt: Double?

  @Option(
    help: "Step legs or fourier-full with the factor 1/t: paper, optimal, trap, hippo-c, hippo-py."
  )
  var convention: LegsConvention?

  @Option(help: "Write the state only after every so many samples.")
  var every = 1

  @Option(help: "The precision of the states as they are written.")
  var dtype = FloatType.float64

  @Option(
    name: .shortAndLong,
    help: "Where to write (.npy).",
    completion: .file(extensions: ["npy"])
  )
  var output: String

  @OptionGroup var reporting: OutputOptions

  func validate() throws {
    guard every >= 1 else { throw ValidationError("--every: at least 1") }
    guard (method == nil) != (convention == nil), dt == nil || method != nil else {
      throw ValidationError(
        "Give --method and --dt (constant coefficients), or --convention (the factor 1/t)."
      )
    }
    guard dt != nil || VaryingRule(method: method, convention: convention) != nil else {
      throw ValidationError("\(VaryingRule.refusal).")
    }
  }

  func run() throws {
    let encoding = try SignalEncoding(
      of: input,
      through: hippo.system,
      stepping: stepping,
      every: every,
      dtype: dtype
    )
    var progress = ProgressLine(
      "ssm encode",
      unit: "samples",
      total: encoding.samples,
      isQuiet: reporting.quiet
    )
    try encoding.write(to: output) { progress.show($0) }
    reporting.note("ssm encode: \(encoding.samples) samples, \(dtype.rawValue) \(encoding.shape)")
    try reporting.report(encoding)
  }

  private var stepping: SignalEncoder.Stepping {
    if let dt, let method { return .constant(method, step: dt) }
    guard let rule = VaryingRule(method: method, convention: convention) else {
      preconditionFailure("validate() has checked it")
    }
    return .varying(rule)
  }
}
