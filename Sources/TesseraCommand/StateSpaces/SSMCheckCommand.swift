import ArgumentParser
import Foundation
import TesseraCore
import TesseraStateSpaces

/// What is true of a file.
struct SSMCheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Check a state-space file; print what was found as JSON.",
    usage: "tessera ssm check <input> [<options>]",
    discussion: """
      A e0 = -B and B_bar = (I - A_bar) e0 where the measure has that identity, A against the \
      measure that the metadata name, the spectrum, A against V diag(Lambda) V* - P P*, V's \
      unitarity, and the recurrence of every channel and output against the kernel over 64 \
      samples. Numbers that do not apply are null. A residual above 1e-6, or a mode that grows, \
      ends with exit code 4. schemas/state-space-check.schema.json describes the JSON.

      EXAMPLE
        tessera ssm check legs.safetensors
      """
  )

  @Argument(help: "A state-space file.", completion: .file())
  var input: String

  @OptionGroup var structure: StructureOption
  @OptionGroup var reporting: OutputOptions

  func run() throws {
    let (file, structure) = try structure.read(input)
    let check = try TesseraError.naming(input) {
      try StateSpaceCheck(file, structure: structure)
    }
    try StandardOutput.writeDocument(check)
    guard check.ok else {
      throw TesseraError.mismatch(check.failures.joined(separator: "; ")).in(input)
    }
    reporting.note("ssm check: \(input): good")
    reporting.note(unused: check.unused, verb: "check")
  }
}
