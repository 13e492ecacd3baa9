import ArgumentParser
import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// `verify`: whether one checkpoint is the other, converted.
struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract:
      "Check a conversion (two checkpoints, under a layout or recipe) or a dataset (hashes, codes).",
    discussion: """
      EXAMPLE
        tessera verify model.keras model.safetensors --to torch
        tessera verify dataset --originals photos/

      The first checkpoint is converted again, tile by tile, into the types of the second, and \
      compared with it; then the second is brought back into the types of the first. Ends with \
      exit code 4 where a tensor is missing, in excess, of another shape, or differs by more than \
      --tolerance. Differences on the way back are errors unless an operation or type rounds; what \
      one side does not have by its recipe is no error there. Files of the same format must also \
      state the same metadata: GGUF's keys, texts of safetensors, .npz and .pt, attributes of \
      HDF5.

      With one argument, a dataset's folder: every file has the size and SHA-256 that dataset.json \
      and files.jsonl say, there is no other file and no empty folder, and the totals agree. With \
      --originals, samples spread over the dataset are encoded again and must have the same codes. \
      Exit code 4 where anything differs, is missing (dataset.json, too) or in excess; 3 where the \
      folder is no dataset's, or dataset.json cannot be understood, since nothing can be compared \
      then.
      """
  )

  @Argument(help: "The checkpoint that was converted, or a dataset's folder.", completion: .file())
  var first: String

  @Argument(help: "The result; none for a dataset.", completion: .file())
  var second: String?

  @OptionGroup(title: "Datasets") var dataset: DatasetVerificationOptions

  @Option(help: "The layout of the result, as for convert.")
  var to: ConversionTarget?

  @OptionGroup var recipes: RecipeOptions
  @OptionGroup var keras: KerasOptions

  @OptionGroup var selection: SelectionOptions
  @OptionGroup var ties: TieOptions

  @Option(help: "The greatest difference of two values that is allowed.")
  var tolerance = 0.0

  @Option(help: "What untyped HDF5 elements of this width are: Keras 2 writes bfloat16 so.")
  var opaqueDtype: OpaqueType?

  @OptionGroup var report: OutputOptions

  func validate() throws {
    guard tolerance >= 0 else { throw ValidationError("--tolerance: not negative.") }
    try to?.validate()
    try keras.check(to)
    guard second == nil || dataset.isDefault else {
      throw ValidationError("--originals, --samples and --tokenizer belong to a dataset.")
    }
  }

  func run() async throws {
    guard let second else { return try await dataset.verify(first, report) }
    let request = ConversionRequest(to: to, recipes, keras)
    var source = try SourceCheckpoint(
      path: first,
      opaqueAs: opaqueDtype?.elementType,
      selecting: selection.selection
    )
    var result = try SourceCheckpoint(path: second, opaqueAs: opaqueDtype?.elementType)
    var plan = try source.plan(request).matchingTypes(of: result.checkpoint)
    try source.quantized.check(plan)
    if ties.tied == .drop { plan = plan.dropping(plan.ties(in: source.checkpoint)) }
    let forward = try await compare(plan, source, result)
    // Operations that are exact have an inverse by construction: under --to torch and --to keras, which
    // are no recipes, equality one way is equality both ways.
    var backward: CheckpointComparison?
    if to?.isTorch != true, to?.isKeras != true {
      let applied = try source.recipes(request)
      let inverse = try applied.reversed().map { try $0.inverted() }
      let back = result.restoring(try result.plan(inverse, sizes: recipes.sizes))
      let typed = result.restoring(try back.matchingTypes(of: source.checkpoint))
      backward = try await compare(typed, result, source)
    }
    let summary = VerificationReport(
      recipe: plan.recipe,
      metadata: MetadataComparison(of: source.checkpoint, plan, with: result.checkpoint),
      forward: forward,
      backward: backward,
      hashes: [try Self.hashes(of: source), try Self.hashes(of: result)],
      dropped: Set(plan.dropped.map(\.name)),
      tolerance: tolerance
    )
    for line in summary.lines { report.note(line) }
    try report.report(summary)
    if !summary.verified { throw ExitCode(FailureKind.mismatch.rawValue) }
  }

  private func compare(
    _ plan: ConversionPlan,
    _ source: SourceCheckpoint,
    _ other: SourceCheckpoint
  ) async throws -> CheckpointComparison {
    let progress = ByteProgress("verify", bytes: plan.byteCount, isQuiet: report.quiet)
    return try await CheckpointComparison.compare(
      plan,
      of: source.checkpoint,
      with: other.checkpoint,
      isHashing: true,
      progress: progress.show
    )
  }

  private static func hashes(of source: SourceCheckpoint) throws -> [String: String] {
    var hashes: [String: String] = [:]
    for file in source.files { hashes[file] = try FileDigest.sha256(of: file) }
    return hashes
  }
}
