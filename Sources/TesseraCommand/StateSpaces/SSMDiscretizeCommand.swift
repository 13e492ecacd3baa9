import ArgumentParser
import TesseraCore
import TesseraStateSpaces

/// From continuous to discrete time.
struct SSMDiscretizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "discretize",
    abstract: "Turn x' = A x + B u into x[k+1] = A_bar x[k] + B_bar u[k].",
    discussion: """
      With --method and --dt the system is stepped with constant coefficients; --dt is a number or \
      a .npy file of one step per channel. With --legs K a system with the factor 1/t (legs, \
      fourier-full) is stepped from K samples to K + 1, in one of five public conventions: paper, \
      optimal (exact), trap, hippo-c, hippo-py; or with --method forward, backward, bilinear or \
      gbt:A by the paper's rule.

      zoh takes the exponential of [[A, B], [0, 0]], so A may be singular. forward, and gbt:A \
      below 1/2, are refused beyond the longest stable step, with exit code 5 and the bound.

      EXAMPLE
        tessera ssm discretize legt.safetensors --method bilinear --dt 0.01 \\
          -o step.safetensors
        tessera ssm discretize legs.safetensors --legs 100 --convention optimal \\
          --json
      """
  )

  @Argument(help: "A state-space file.", completion: .file())
  var input: String

  @OptionGroup var stepping: SteppingOptions

  @Option(help: "Step a system with the factor 1/t from K samples to K + 1.")
  var legs: Int?

  @Option(help: "The convention of --legs.")
  var convention: LegsConvention?

  @OptionGroup var structure: StructureOption
  @OptionGroup var destination: StateSpaceOutput

  private var rule: VaryingRule? {
    VaryingRule(method: stepping.method, convention: convention)
  }

  func validate() throws {
    if legs == nil {
      guard stepping.method != nil, stepping.dt != nil, convention == nil else {
        throw ValidationError("Give --method and --dt, or --legs and --convention.")
      }
    } else {
      guard stepping.dt == nil, rule != nil else {
        throw ValidationError("\(VaryingRule.refusal).")
      }
    }
  }

  func run() throws {
    let (file, structure) = try structure.read(input)
    let result = try TesseraError.naming(input) {
      if let legs, let rule {
        return try file.stepped(from: legs, by: rule)
      }
      guard let method = stepping.method, let steps = try stepping.lengths() else {
        preconditionFailure("validate() has checked both")
      }
      return try file.discretized(by: method, steps: steps, structure: structure)
    }
    try destination.finish(result, verb: "discretize", reading: [input])
  }
}
