import ArgumentParser
import Foundation
import TesseraCore
import TesseraDatasets
import TesseraImages
import TesseraTokenizers

/// One run of `tokenize`: shards, their progress, and what is said at the end.
struct TokenizeRun {
  let folder: DatasetFolder
  let workers: Int
  let output: OutputOptions
  /// The plan's tokenizer, where it is open already.
  var tokenizer: ImageTokenizer?
  /// What became of captions, where this run made the plan.
  var captions: CaptionCounts?
  private var written = 0
  private var seconds = 0.0
  private var times: StageTimes?

  init(folder: DatasetFolder, workers: Int, output: OutputOptions) {
    (self.folder, self.workers, self.output) = (folder, workers, output)
  }

  /// Runs every shard of a plan that is not done yet.
  mutating func runAll(of plan: DatasetPlan) async throws {
    try await run(Array(0..<plan.shardCount), of: plan)
  }

  /// Runs some shards of the plan in the folder.
  mutating func run(_ selection: ShardSelection) async throws {
    let plan: DatasetPlan
    switch try folder.content() {
    case .empty: throw TesseraError.notPlanned(folder: folder.path)
    case .complete:
      try folder.checkFiles()
      return output.note("\(folder.path): already complete")
    case .planned(let found): plan = found
    }
    if let last = selection.ranges.last?.upperBound, last >= plan.shardCount {
      throw TesseraError.noSuchShard(
        folder: folder.path,
        shard: last,
        count: plan.shardCount
      )
    }
    let shards = selection.ranges.flatMap { Array($0) }
    try await run(shards, of: plan)
    output.note("\(folder.path): \(shards.count) shards done; --finish when all are")
  }

  private mutating func run(_ shards: [Int], of plan: DatasetPlan) async throws {
    let total = shards.reduce(0) { $0 + plan.inputCount(ofShard: $1) }
    var line = ProgressLine("tokenize", unit: "images", total: total, isQuiet: output.quiet)
    var done = 0
    let kept = KeptShards(of: shards.count, in: folder.path)
    let summary = try await folder.run(
      shards: shards,
      of: plan,
      tokenizer: tokenizer,
      workers: workers
    ) { progress in
      switch progress {
      case .found(let inputs):
        done += inputs
        line.skip(inputs)
        line.show(done)
      case .input:
        done += 1
        line.show(done)
      case .shard(let inputs):
        done = inputs
        kept.add()
      }
    }
    written = summary.written
    seconds = line.seconds
    times = summary.times
  }

  /// Says what was planned.
  func report(_ plan: DatasetPlan, isStrict: Bool) throws {
    output.note("\(folder.path): planned \(plan.inputs) images in \(plan.shardCount) shards")
    if let passedOver = plan.account?.text { output.note("  \(passedOver)") }
    if let captions { output.note("  \(captions.text)") }
    try output.report(PlanSummary(plan, captions: captions))
    if isStrict { try checkCaptions() }
  }

  /// Says what the finished dataset holds; a failure where it holds nothing, or less than asked for.
  func report(_ manifest: DatasetManifest, isStrict: Bool) throws {
    let rejections = try RejectionSummary(folder: folder.path)
    let summary = DatasetSummary(
      manifest: manifest,
      rejectedByStage: rejections.stages,
      seconds: seconds,
      written: written,
      times: times,
      captions: captions
    )
    output.note("\(folder.path): \(summary.text)")
    if let passedOver = manifest.account.text { output.note("  \(passedOver)") }
    output.noteOmissions(of: manifest)
    if let captions { output.note("  \(captions.text)") }
    if written > 0 { output.note("  \(summary.speedText)") }
    for line in rejections.lines { output.note("  rejected \(line)") }
    try output.report(summary)
    if manifest.samples == 0 {
      StandardError.write(
        "Error: \(folder.path.oneLine): not one of \(manifest.rejected) inputs became a sample; "
          + "see rejected.jsonl for the reasons\n"
      )
      throw ExitCode(1)
    }
    if isStrict, manifest.rejected > 0 {
      StandardError.write(
        "Error: \(folder.path.oneLine): \(manifest.rejected) inputs were rejected, and --strict was given; "
          + "see rejected.jsonl\n"
      )
      throw ExitCode(1)
    }
    if isStrict { try checkCaptions() }
  }

  /// Fails where an image has no caption, or a caption no image.
  private func checkCaptions() throws {
    guard let leftOver = captions?.leftOver else { return }
    let message = "Error: \(folder.path): \(leftOver), and --strict was given"
    StandardError.write(message.oneLine + "\n")
    throw ExitCode(1)
  }
}
