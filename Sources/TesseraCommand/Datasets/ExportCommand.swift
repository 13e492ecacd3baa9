import ArgumentParser
import Foundation
import TesseraCore
import TesseraDatasets

struct ExportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a dataset in the layout of another trainer.",
    discussion: """
      EXAMPLE
        tessera export dataset -o parquet --format parquet
        tessera export dataset -o megatron --format megatron \\
          --vocabulary-offset 50304
        tessera export dataset -o mds --format mds --rename codes=tokens \\
          --zstd 3 --shuffle 7
        tessera export dataset -o packed --format parquet --sequence emu3 \\
          --text-tokenizer tokenizer.json --positions mrope --pack best-fit \\
          --length 8192

      Takes a dataset of any layout that Tessera writes, and writes any. The new folder has the \
      files of its layout, rejected.jsonl and dataset.json, which says what the columns are, what \
      their names in the files are and which of them the layout cannot store.
      """
  )

  @Argument(help: "The folder of a finished dataset.", completion: .directory)
  var dataset: String

  @Option(name: .shortAndLong, help: "A new or empty folder.", completion: .directory)
  var output: String

  @Option(help: "The layout of the files.")
  var format: DatasetFormat

  @Option(help: "The most samples per file.")
  var shardSamples: Int = 1000

  @Option(help: "Added to every code instead of what the dataset has.")
  var vocabularyOffset: Int?

  @Option(help: "The scheme of the position ids of sequences. (default: the dataset's)")
  var positions: PositionChoice?

  @OptionGroup(title: "Layout") var layout: ExportOptions
  @OptionGroup(title: "Sequences") var sequences: SequenceOptions
  @OptionGroup var outputOptions: OutputOptions

  func validate() throws {
    guard (1...PlanOptions.largestShard).contains(shardSamples) else {
      throw ValidationError("--shard-samples: not from 1 to \(PlanOptions.largestShard)")
    }
    if let vocabularyOffset, !(0...PlanOptions.largestOffset).contains(vocabularyOffset) {
      throw ValidationError("--vocabulary-offset: not from 0 to \(PlanOptions.largestOffset)")
    }
    _ = try layout.settings(for: format, shardSamples: shardSamples)
    guard positions == nil || sequences.sequence != nil else {
      throw ValidationError("--positions are those of sequences; name a --sequence")
    }
    guard vocabularyOffset == nil || sequences.sequence == nil else {
      throw ValidationError("--vocabulary-offset: a --sequence says itself which ids codes have")
    }
  }

  func run() async throws {
    let source = try TokenDataset(path: dataset)
    var sequence = try sequences.request()
    sequence?.positions = positions?.rawValue ?? source.manifest.settings.positions
    let export = DatasetExport(
      format: format,
      settings: try layout.settings(for: format, shardSamples: shardSamples),
      vocabularyOffset: vocabularyOffset,
      sequence: try sequence.map { try SequenceStage($0) }
    )
    var line = ProgressLine(
      "export",
      unit: "samples",
      total: source.manifest.samples,
      isQuiet: outputOptions.quiet
    )
    if let manifest = try export.finished(source, in: output) {
      outputOptions.note("\(output): already complete")
      return try outputOptions.report(ExportSummary(manifest, seconds: line.seconds))
    }
    let folder = output
    Interruption.explain { "nothing of '\(folder)' is kept; run the same command again" }
    let manifest = try export.run(source, into: output) { line.show($0) }
    let summary = ExportSummary(manifest, seconds: line.seconds)
    outputOptions.note("\(output): \(summary.text)")
    outputOptions.noteOmissions(of: manifest)
    try outputOptions.report(summary)
  }
}

extension OutputOptions {
  /// Names the columns that were wanted and have no place in a dataset's layout.
  func noteOmissions(of manifest: DatasetManifest) {
    let wanted = manifest.settings.export?.columns
    let lost = (manifest.layout?.omitted ?? []).filter { wanted?.contains($0) ?? true }
    guard !lost.isEmpty else { return }
    note("  \(manifest.settings.format) has no place for \(lost.joined(separator: ", ")): left out")
  }
}
