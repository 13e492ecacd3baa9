import ArgumentParser
import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// `diff`: what distinguishes two checkpoints.
struct DiffCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Compare two checkpoints of any format: names, shapes, types, values.",
    usage: "tessera diff <first> <second> [<options>]",
    discussion: """
      EXAMPLE
        tessera diff before.safetensors after.pt --json

      Ends with exit code 4 where they differ: names that only one has, other shapes, other \
      values; and, in two files of the same format, other keys of GGUF, texts of safetensors, .npz \
      or .pt, or attributes of HDF5. Another element type alone is reported and is no difference \
      where the values are the same; what Tessera adds itself (tessera.…) is none either.
      """
  )

  @Argument(help: "A checkpoint.", completion: .file())
  var first: String

  @Argument(help: "Another one.", completion: .file())
  var second: String

  @OptionGroup var selection: SelectionOptions

  @Flag(help: "Compare names, types and shapes alone.")
  var namesOnly = false

  @OptionGroup var report: OutputOptions

  func run() async throws {
    let a = try SourceCheckpoint(path: first, selecting: selection.selection)
    let b = try SourceCheckpoint(path: second, selecting: selection.selection)
    let comparison = try await a.compare(with: b, namesOnly: namesOnly, report.quiet)
    let summary = DifferenceReport(
      comparison,
      namesOnly ? nil : MetadataComparison(a.checkpoint, and: b.checkpoint),
      of: first,
      and: second
    )
    for line in summary.lines { report.note(line) }
    try report.report(summary)
    if !summary.equal { throw ExitCode(FailureKind.mismatch.rawValue) }
  }
}

extension SourceCheckpoint {
  /// Compares tensors of the same names as they are.
  fileprivate func compare(
    with other: SourceCheckpoint,
    namesOnly: Bool,
    _ isQuiet: Bool
  ) async throws -> CheckpointComparison {
    let plan = try ConversionPlan(ConversionRules(keeping: checkpoint), of: checkpoint)
    if namesOnly { return CheckpointComparison(ofNames: plan, and: other.checkpoint) }
    let progress = ByteProgress("diff", bytes: plan.byteCount, isQuiet: isQuiet)
    return try await CheckpointComparison.compare(
      plan,
      of: checkpoint,
      with: other.checkpoint,
      progress: progress.show
    )
  }
}
