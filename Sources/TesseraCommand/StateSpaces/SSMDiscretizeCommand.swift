import ArgumentParser
import TesseraCore
import TesseraStateSpaces

/// From continuous to discrete time.
struct SSMDiscretizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "discretize",
    abstract: "Turn x' = A x + B u into x[k+1] = A_bar x[k] + B_bar u[k].",
    discussion: """
      With --method and --dt the system is stepped with constant coefficients; --dt is a number or a \
      .npy file of one step a channel. With --legs K a system with the factor 1/t (legs, fourier-full) \
      is stepped from K samples to K + 1, in one of five public conventions: paper, optimal (exact), \
      trap, hippo-c, hippo-py; or with --method forward, backward, bilinear or gbt:A by the paper's rule.

      zoh takes the exponential of [[A, B], [0, 0]], so A may be singular. forward, and gbt:A below 1/2, \
      are refused beyond the longest stable step, with exit code 5 and the bound.

      EXAMPLE
        tessera ssm discretize legt.safetensors --method bilinear --dt 0.01 -o step.safetensors
        tessera ssm discretize legs.safetensors --legs 100 --convention optimal --json
      """
  )

  @Argument(help: "A state-space file.", completion: .file())
  var input: String

  @Option(help: "forward, backward, bilinear, gbt:A (A from 0 to 1) or zoh.")
  var method: DiscretizationMethod?

  @Option(help: "The step: a number, or a .npy file of one a channel.")
  var dt: String?

  @Option(help: "Step a system with the factor 1/t from K samples to K + 1.")
  var legs: Int?

  @Option(help: "The convention of --legs.")
  var convention: LegsConvention?

  @OptionGroup var structure: StructureOption
  @OptionGroup var destination: StateSpaceOutput

  func validate() throws {
    if legs == nil {
      guard method != nil, dt != nil, convention == nil else {
        throw ValidationError("Say --method and --dt, or --legs and --convention.")
      }
    } else {
      guard dt == nil, VaryingRule(method: method, convention: convention) != nil else {
        throw ValidationError("\(VaryingRule.refusal).")
      }
    }
  }

  func run() throws {
    let (file, structure) = try structure.read(input)
    let result = try TesseraError.naming(input) {
      if let legs, let rule = VaryingRule(method: method, convention: convention) {
        return try file.stepped(from: legs, by: rule)
      }
      guard let method, let dt else { preconditionFailure("validate() has checked both") }
      let steps = try StepArgument.lengths(dt)
      return try file.discretized(by: method, steps: steps, structure: structure)
    }
    try destination.finish(result, verb: "discretize", reading: [input])
  }
}

/// The argument of `--dt`.
enum StepArgument {
  /// Reads a number, or the channels of a .npy file.
  static func lengths(_ text: String) throws -> StepLengths {
    if let number = Double(text) { return .one(number) }
    guard text.hasSuffix(".npy") else {
      throw ValidationError("--dt: '\(text)' is neither a number nor a .npy file")
    }
    let file = try ArrayFile(path: text)
    guard let count = file.header.shape.elementCount, count <= 1 << 20 else {
      throw ValidationError("--dt: \(text) has the shape \(file.header.shape); a list was expected")
    }
    guard let steps = StateSpaceArray(try file.read(0..<count)) else {
      throw ValidationError("--dt: \(text) holds no real numbers")
    }
    return .channels(steps.values)
  }
}
