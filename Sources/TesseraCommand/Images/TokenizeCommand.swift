public import ArgumentParser
import Foundation
public import TesseraDatasets
import TesseraImages
import TesseraTokenizers

extension PositionChoice: ExpressibleByArgument {}

/// Shard numbers such as `0,4-7`, in ascending order.
struct ShardSelection: ExpressibleByArgument {
  let ranges: [ClosedRange<Int>]

  init?(argument: String) {
    var ranges: [ClosedRange<Int>] = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
        first >= 0, last >= first, first > ranges.last?.upperBound ?? -1
      else { return nil }
      ranges.append(first...last)
    }
    self.ranges = ranges
  }
}

struct TokenizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Turn images into a dataset of discrete codes.",
    discussion: """
      EXAMPLE
        tessera tokenize photos/ -o dataset
        tessera tokenize photos/ list.txt shard.tar -o dataset --positions mrope \\
          --workers 8

      Writes shards/00000.tar … (WebDataset; --format for others), rejected.jsonl (inputs that are \
      in no shard, and why) and dataset.json. Run the same command again to continue after an \
      interruption: the result is the same, byte for byte. Many machines share one dataset in \
      three steps:
        tessera tokenize photos/ -o dataset --plan-only
        tessera tokenize -o dataset --shards 0-9        # in any order, even twice
        tessera tokenize -o dataset --finish
      """
  )

  @Argument(
    help: """
      Folders, single images, lists (.txt, one path per line) or archives (.tar). In a folder a file with a picture's ending \
      (\(ImageFormat.endings)) or a picture's first bytes is an input.
      """,
    completion: .file()
  )
  var inputs: [String] = []

  @Option(
    name: .shortAndLong,
    help: "The dataset's folder: new, empty, or begun by the same command.",
    completion: .directory
  )
  var output: String

  @OptionGroup(title: "Inputs") var sources: SourceOptions
  @OptionGroup(title: "Plan") var plan: PlanOptions
  @OptionGroup(title: "Layout") var layout: ExportOptions
  @OptionGroup(title: "Sequences") var sequences: SequenceOptions
  @OptionGroup(title: "Preprocessing") var preprocessing: PreprocessingOptions

  @Option(help: "Images in flight; changes no byte of the output.")
  var workers: Int = ProcessInfo.processInfo.activeProcessorCount

  @Flag(
    help: """
      Exit with code 1 when any input was rejected and, with --captions, when an image has no caption or a caption \
      no image.
      """
  )
  var strict = false

  @Flag(inversion: .prefixedNo, help: "Continue what an interrupted run began.")
  var resume = true

  @Flag(help: "Write the plan and stop.")
  var planOnly = false

  @Option(help: "Run these shards of a plan and stop, such as 3, 0-9 or 0,4-7.")
  var shards: ShardSelection?

  @Flag(help: "Check that all shards of a plan are done, and finish the dataset.")
  var finish = false

  @OptionGroup var outputOptions: OutputOptions

  func validate() throws {
    guard (1...4096).contains(workers) else {
      throw ValidationError("--workers: \(workers) is not from 1 to 4096")
    }
    let steps = [planOnly, shards != nil, finish].count { $0 }
    guard steps <= 1 else {
      throw ValidationError("--plan-only, --shards and --finish are separate steps; name one")
    }
    if shards != nil || finish {
      guard inputs.isEmpty, sources.isDefault, plan.isDefault, layout.isDefault,
        sequences.isDefault,
        preprocessing.isDefault
      else {
        throw ValidationError("the plan in the folder fixes inputs and settings; leave them out")
      }
    } else if inputs.isEmpty {
      throw ValidationError("name a folder, an image, a list (.txt) or an archive (.tar)")
    }
    try plan.validate()
    guard sequences.sequence == nil || plan.augmentation == .none else {
      throw ValidationError("--sequence: sequences are made of one view; leave out --augment")
    }
    _ = try layout.settings(for: plan.format ?? .webdataset, shardSamples: 1)
  }

  func run() async throws {
    let folder = DatasetFolder(output)
    var run = TokenizeRun(folder: folder, workers: workers, output: outputOptions)
    if finish {
      try run.report(folder.finish(), isStrict: strict)
    } else if let shards {
      try await run.run(shards)
    } else if let plan = try makePlan(in: folder, for: &run), !planOnly {
      try await run.runAll(of: plan)
      try run.report(folder.finish(), isStrict: strict)
    }
  }

  /// Makes the plan or finds it, and says what there is to say; nil where nothing is left to do.
  private func makePlan(
    in folder: DatasetFolder,
    for run: inout TokenizeRun
  ) throws -> DatasetPlan? {
    var request = try plan.request(layout, sequences, preprocessing)
    let tokenizer = try ImageTokenizer(opening: request.tokenizer, for: .encoder)
    request.preprocessing = preprocessing.overriding(tokenizer.description.preprocessing)
    var selection = sources.selection
    selection.captionEndings = request.captionEndings
    let images = try ImageInputs.collect(inputs, selection)
    for note in images.notes { outputOptions.note(note) }
    let draft = try DatasetDraft(of: images, request, tokenizer)
    run.captions = draft.captions
    if !resume, case .planned = try folder.content() {
      throw ValidationError(
        "\(output): contains an unfinished run; leave out --no-resume to continue"
      )
    }
    switch try draft.prepare(in: folder) {
    case .complete:
      outputOptions.note("\(output): already complete")
      // Finishing again removes what a run killed at the very end left behind.
      try run.report(folder.finish(), isStrict: strict)
      return nil
    case .planned(let plan):
      run.tokenizer = tokenizer
      if planOnly { try run.report(plan, isStrict: strict) }
      return plan
    case .empty:
      preconditionFailure("a folder that was prepared is not empty")
    }
  }
}
