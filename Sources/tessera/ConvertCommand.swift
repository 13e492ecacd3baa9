import ArgumentParser
import Conversion
import Foundation
import Readers
import Synchronization
import Tensors
import Writers

/// `convert`: a checkpoint becomes another.
struct ConvertCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Convert a checkpoint: HDF5 and Keras files, or safetensors, to safetensors.",
    discussion: """
      EXAMPLE
        tessera convert model.keras -o model.safetensors --to torch
        tessera convert mamba-130m/ -o mamba-130m.gguf --to gguf

      Without --to torch, tensors keep their names (in HDF5, the path without its first slash) and \
      their layout. With it, each Keras layer becomes the PyTorch module that computes the same: \
      names with dots, kernels transposed, gates reordered. Every variable is used, or named as \
      dropped; a layer without such a module ends the conversion with exit code 4 and no file. \
      What PyTorch's defaults do otherwise (epsilon, momentum) stands in the metadata \
      'tessera.config'.
      """
  )

  @Argument(
    help: "An .h5, .keras or .safetensors file, a shard index, or a folder that holds one.",
    completion: .file()
  )
  var input: String

  @Option(
    name: [.short, .long],
    help: "The .safetensors file to write, or a folder for model.safetensors.",
    completion: .file()
  )
  var output: String?

  @Option(help: "A format, or a layout: 'torch' for Keras layers, 'hf', 'mamba_ssm', 'gguf', ….")
  var to: ConversionTarget?

  @OptionGroup var recipes: RecipeOptions

  @Option(help: "The most data a file holds, such as 5GB (10^9) or 2GiB; more become shards.")
  var shardSize: ByteSize?

  @Option(help: "What untyped HDF5 elements of this width are: Keras 2 writes bfloat16 so.")
  var opaqueDtype: OpaqueType?

  @Flag(help: "Show what would be done, tensor by tensor, and write nothing.")
  var plan = false

  @OptionGroup(title: "Generators and adapters") var generator: GeneratorOptions

  @OptionGroup var report: OutputOptions

  func validate() throws {
    guard plan || output != nil else {
      throw ValidationError("Missing '-o <output>': name the file to write, or ask for --plan.")
    }
    try to?.validate()
    guard let output else { return }
    guard ConvertCommand.isFolder(output) || format != nil else {
      let endings = CheckpointFormat.endings.joined(separator: " ")
      throw ValidationError(
        "'\(output)': name a file that ends in \(endings), or a folder, or --to."
      )
    }
    guard shardSize == nil || outputFormat == .safetensors else {
      throw ValidationError("--shard-size: only safetensors has shards.")
    }
  }

  /// The format that is named by --to or by the output's ending.
  private var format: CheckpointFormat? {
    to?.format ?? output.flatMap { CheckpointFormat(path: $0) }
  }

  /// The format that is written.
  private var outputFormat: CheckpointFormat { format ?? .safetensors }

  func run() async throws {
    let source = try SourceCheckpoint(path: input, opaqueAs: opaqueDtype?.elementType, generator)
    let plan = try source.plan(to: to, recipes)
    if self.plan {
      let description = PlanReport(plan, of: source)
      if report.json { return try report.report(description) }
      return print(description.table)
    }
    guard let output else { return }
    let path = try outputPath(output)
    let progress = ConversionProgress(bytes: plan.byteCount, isQuiet: report.quiet)
    let conversion = CheckpointConversion(
      of: source.checkpoint,
      sourceFiles: source.files,
      plan: plan,
      toolVersion: Tessera.version
    )
    let files = try await conversion.write(
      to: path,
      format: outputFormat,
      shardByteLimit: shardSize?.bytes,
      progress: progress.show
    )
    let summary = ConversionReport(
      plan,
      files: files,
      merged: source.merged,
      seconds: progress.seconds
    )
    for line in summary.lines { report.note(line) }
    try report.report(summary)
  }

  /// The file to write; a folder that is named with a slash is made.
  private func outputPath(_ output: String) throws -> String {
    guard ConvertCommand.isFolder(output) else { return output }
    if !Checkpoint.isFolder(output), mkdir(output, 0o777) != 0 {
      throw FileError(operation: "create the folder", path: output, code: errno)
    }
    return (output.hasSuffix("/") ? output : "\(output)/") + outputFormat.usualFileName
  }

  private static func isFolder(_ path: String) -> Bool {
    path.hasSuffix("/") || Checkpoint.isFolder(path)
  }
}

/// An input of `convert` with what it takes to plan.
struct SourceCheckpoint {
  let path: String
  let checkpoint: any CheckpointReader
  let files: [String]
  /// What adapters were merged into.
  let merged: [AdapterMerge.Module]

  /// Opens a checkpoint, computes what the options ask for, and refuses one that could not be
  /// converted completely.
  init(path: String, opaqueAs opaqueType: ElementType?, _ generator: GeneratorOptions) throws {
    self.path = path
    let file = try Checkpoint.file(of: path)
    let prepared = try generator.applied(to: Checkpoint.open(file, opaqueAs: opaqueType))
    checkpoint = prepared.checkpoint
    merged = prepared.modules
    files = checkpoint.files
    guard let first = checkpoint.refusals.first else { return }
    let others = checkpoint.refusals.count - 1
    let more = others > 0 ? " (and \(others) more: see `tessera inspect`)" : ""
    throw CheckpointError(path: file, cause: first + more)
  }

  /// Plans the conversion to a layout.
  func plan(to target: ConversionTarget?, _ options: RecipeOptions) throws -> ConversionPlan {
    let recipes = try recipes(options, to: target)
    guard target?.isTorch == true else {
      return try ConversionPlan(
        recipes,
        of: checkpoint,
        configuration: configuration,
        settings: options.sizes
      )
    }
    guard let hdf5 = checkpoint as? HDF5Checkpoint else {
      let cause = "a \(checkpoint.format) file; --to torch maps the layers of Keras files"
      throw PlanError(tensor: path, cause: cause)
    }
    let rules = try KerasToTorch.rules(for: KerasModel(reading: hdf5))
    return try ConversionPlan(rules, of: checkpoint)
  }
}

/// Progress that arrives from the task that copies.
private final class ConversionProgress: Sendable {
  private let line: Mutex<ProgressLine>

  init(bytes: Int, isQuiet: Bool) {
    line = Mutex(ProgressLine("convert", unit: "MB", total: bytes / 1_000_000, isQuiet: isQuiet))
  }

  var seconds: Double { line.withLock { $0.seconds } }

  @Sendable func show(_ bytes: Int) { line.withLock { $0.show(bytes / 1_000_000) } }
}
