import ArgumentParser
import Foundation
import TesseraCore
import TesseraDatasets
import TesseraTokenizers

/// `verify DATASET`: its files, and codes of its originals.
struct DatasetVerificationOptions: ParsableArguments {
  @Option(
    help: """
      What was tokenized, a folder or, repeated, all inputs in their order: samples are encoded again.
      """,
    completion: .file()
  )
  var originals: [String] = []

  @Option(help: "How many samples are encoded again. (default: 32)")
  var samples: Int?

  @Option(
    help:
      "The tokenizer that made the dataset. (default: the embedded one, where the dataset names it)",
    completion: .file()
  )
  var tokenizer: String?

  /// Whether nothing was set.
  var isDefault: Bool { originals.isEmpty && samples == nil && tokenizer == nil }

  func validate() throws {
    if let samples, samples < 1 { throw ValidationError("--samples: not 1 or more.") }
    guard !originals.isEmpty || (samples == nil && tokenizer == nil) else {
      throw ValidationError("--samples and --tokenizer belong to --originals.")
    }
  }

  /// Checks a dataset and reports.
  ///
  /// - Throws: `ExitCode` of a mismatch where anything differs.
  func verify(_ folder: String, _ output: OutputOptions) async throws {
    try DatasetVerification.refuseUnfinished(folder)
    let verification = DatasetVerification(of: try TokenDataset(path: folder))
    let bytes = try verification.byteCount()
    let progress = ByteProgress("verify", bytes: bytes, isQuiet: output.quiet)
    var report = try verification.report(progress: progress.show)
    if !originals.isEmpty {
      try await verification.encodeAgain(
        samples ?? 32,
        from: originals,
        tokenizer: tokenizer,
        adding: &report
      )
    }
    for line in report.lines { output.note(line) }
    try output.report(report)
    if !report.verified { throw ExitCode(FailureKind.mismatch.rawValue) }
  }
}
