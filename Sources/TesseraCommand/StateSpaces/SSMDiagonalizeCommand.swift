import ArgumentParser
import TesseraCore
import TesseraStateSpaces

/// A dense or low-rank system as a diagonal one.
struct SSMDiagonalizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diagonalize",
    abstract: "Turn a dense or low-rank system into a diagonal one with the same outputs.",
    usage: "tessera ssm diagonalize <input> [<options>]",
    discussion: """
      A = V diag(Lambda) V^-1, B becomes V^-1 B, C becomes C V; of each conjugate pair the number \
      above the real axis is kept, real eigenvalues with half their B. The metadata state the \
      condition number of V and the largest element of A V - V Lambda over that of A. Above \
      --limit the system is refused with exit code 5: LegS itself is ill-conditioned from about \
      order 20 on.

      EXAMPLE
        tessera ssm diagonalize legt.safetensors -o diagonal.safetensors
      """
  )

  @Argument(help: "A state-space file.", completion: .file())
  var input: String

  @Option(help: "The largest condition number of the eigenvectors.")
  var limit = 1e8

  @OptionGroup var structure: StructureOption
  @OptionGroup var destination: StateSpaceOutput

  func run() throws {
    let (file, structure) = try structure.read(input)
    var result = try TesseraError.naming(input) {
      try file.diagonalized(limit: limit, structure: structure)
    }
    let parts: Set = structure == .dense ? ["A"] : ["Lambda", "P", "l_kernel"]
    let used = parts.union(["B", "C", "D", "dt"])
    result.unused = file.unused(besides: used)
    try destination.finish(result, verb: "diagonalize", reading: [input])
    let metadata = result.metadata
    destination.reporting.note(
      "ssm diagonalize: condition number \(metadata["tessera.ssm.condition"] ?? ""), residual "
        + (metadata["tessera.ssm.residual"] ?? "")
    )
  }
}
