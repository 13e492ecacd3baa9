import ArgumentParser
import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// `convert`: a checkpoint becomes another.
struct ConvertCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Convert a checkpoint to another format, layout or precision; merge adapters.",
    discussion: """
      EXAMPLE
        tessera convert model.keras -o model.safetensors --to torch
        tessera convert mamba-130m/ -o mamba-130m.gguf --to gguf
        tessera convert training.pt -o weights.safetensors --pick ema --dtype bf16 --keep-f32 '*norm*'
        tessera convert tessera-f8 -o encoder.onnx
        tessera convert trained.pt -o model.weights.h5 --to keras --like model.keras --module dense=fc1

      Without --to torch, tensors keep their names (in HDF5, the path without its first slash) and \
      their layout. With it, each Keras layer becomes the PyTorch module that computes the same: \
      names with dots, kernels transposed, gates reordered. Every variable is used, or named as \
      dropped; a layer without such a module ends the conversion with exit code 4 and no file. \
      What PyTorch's defaults do otherwise (epsilon, momentum) stands in the metadata \
      'tessera.config'.

      The output's ending, or --to, says the format: .safetensors, .npz, .h5 (a name's slashes make \
      groups, dots stay), .weights.h5 (Keras 3), .pt (opens with weights_only), .gguf. A Hugging Face \
      folder (config.json beside weights) into a folder takes every file along that is no weights, and \
      names what it leaves out.

      What a file says beside its tensors is kept where the result has a place for it (GGUF's keys in \
      GGUF, HDF5's attributes in HDF5, texts of safetensors, .npz and .pt in each other) and named \
      where not. A tensor that cannot be read, or a file without one, ends the conversion with exit \
      code 4; --strip 'NAME*' goes on without it. Only a file that an earlier conversion wrote is \
      replaced.

      --lora merges adapters, --bake computes parametrized weights, --fold-sigma and --fold-timestep fix \
      the noise level of a one-step generator, in this order and before names change.

      With -o FILE.onnx the input is a tokenizer, as `tokenize --tokenizer` takes it: its encoder is \
      written as an ONNX graph (opset 17) from uint8 pixels [batch, height, width, 3] to codes and latents. \
      Range, network and quantizer are in it. Orientation, resize, crop, pad and alpha are not, since ONNX \
      has no resize that rounds as Pillow's: 'tessera prepare --as npy' with the tokenizer's rules makes the \
      pixels.
      """
  )

  @Argument(
    help: "A checkpoint of any format, a shard index, or a folder that holds one.",
    completion: .file()
  )
  var input: String

  @Option(
    name: [.short, .long],
    help: """
      The file to write, or a folder, where it is named model.safetensors (or as diffusers and peft name \
      theirs) or as --to has it.
      """,
    completion: .file()
  )
  var output: String?

  @Option(
    help:
      "A format, or a layout: 'torch' for Keras layers, 'keras' back, 'hf', 'mamba_ssm', 'gguf', …."
  )
  var to: ConversionTarget?

  @OptionGroup var recipes: RecipeOptions
  @OptionGroup var keras: KerasOptions

  @OptionGroup var selection: SelectionOptions
  @OptionGroup var sharing: TieOptions
  @OptionGroup var precision: PrecisionOptions

  @Option(help: "The most data a file holds, such as 5GB (10^9) or 2GiB; more become shards.")
  var shardSize: ByteSize?

  @Option(help: "What untyped HDF5 elements of this width are: Keras 2 writes bfloat16 so.")
  var opaqueDtype: OpaqueType?

  @Flag(
    inversion: .prefixedNo,
    help: "State the SHA-256 of the source in the result; reads it as a whole beside the copying."
  )
  var sourceHash = true

  @Flag(
    help: """
      Keep what is rounded as it was, in OUTPUT.exact.safetensors beside the output: the way back \
      (--inverse, --to, or --dtype with the first type) is then the same bytes.
      """
  )
  var keepExact = false

  @Flag(help: "Replace a file that no conversion wrote.")
  var force = false

  @Flag(help: "Show what would be done, tensor by tensor, and write nothing.")
  var plan = false

  @OptionGroup(title: "Generators and adapters") var generator: GeneratorOptions

  @OptionGroup var report: OutputOptions

  func validate() throws {
    if writesGraph { return try checkGraph() }
    guard plan || output != nil else {
      throw ValidationError("Missing '-o <output>': name the file to write, or ask for --plan.")
    }
    try to?.validate()
    try keras.check(to)
    guard !keepExact || generator.isEmpty else {
      throw ValidationError(
        "--keep-exact: --lora, --bake and --fold-sigma compute weights anew; keep the input itself."
      )
    }
    guard let output else { return }
    guard to?.isKeras != true || outputFormat == .kerasWeights else {
      throw ValidationError("--to keras: name an output that ends in .weights.h5.")
    }
    guard ConvertCommand.isFolder(output) || format != nil else {
      let endings = CheckpointFormat.endings.joined(separator: " ")
      throw ValidationError(
        "'\(output)': name a file that ends in \(endings), or a folder, or --to."
      )
    }
    guard shardSize == nil || outputFormat == .safetensors else {
      throw ValidationError("--shard-size: only safetensors has shards.")
    }
    guard sharing.tied != .keep || outputFormat.holdsAliases else {
      throw ValidationError("--tied keep: \(outputFormat.rawValue) has no aliases; copy or drop.")
    }
    guard precision.dtype != .q8_0 || outputFormat == .gguf else {
      throw ValidationError("--dtype q8_0: only gguf has such blocks.")
    }
  }

  /// The format that is named by --to or by the output's ending.
  private var format: CheckpointFormat? {
    if to?.isKeras == true, output.map(ConvertCommand.isFolder) ?? true { return .kerasWeights }
    return to?.format ?? output.flatMap { CheckpointFormat(path: $0) }
  }

  /// The format that is written.
  private var outputFormat: CheckpointFormat { format ?? .safetensors }

  func run() async throws {
    if writesGraph { return try writeGraph() }
    var source = try SourceCheckpoint(
      path: input,
      opaqueAs: opaqueDtype?.elementType,
      selecting: selection.selection,
      computing: generator.applied
    )
    let prepared = try prepare(&source)
    if plan {
      let description = PlanReport(prepared, of: source)
      if report.json { return try report.report(description) }
      return try StandardOutput.print(description.table)
    }
    guard let output else { return }
    let progress = ByteProgress("convert", bytes: prepared.byteCount, isQuiet: report.quiet)
    let conversion = try conversion(prepared, of: source, to: output)
    let files = try await conversion.write(
      to: try outputPath(output, from: source),
      format: outputFormat,
      shardByteLimit: shardSize?.bytes,
      quantized: prepared.quantized,
      progress: progress.show
    )
    let summary = ConversionReport(
      prepared,
      files: files,
      companions: conversion.companions,
      merged: source.merged,
      seconds: progress.seconds
    )
    for line in summary.lines { report.note(line) }
    try report.report(summary)
  }

  /// The conversion with what belongs beside its result.
  private func conversion(
    _ prepared: PreparedConversion,
    of source: SourceCheckpoint,
    to output: String
  ) throws -> CheckpointConversion {
    let path = try outputPath(output, from: source)
    var conversion = prepared.conversion(
      of: source,
      besides: try companions(of: source, to: output),
      inFolder: ConvertCommand.isFolder(output)
    )
    conversion.isHashingSource = sourceHash
    conversion.isReplacingOthers = force
    Interruption.explain { "nothing of '\(output)' is written; run the same command again" }
    if let generator = source.generator {
      conversion.companions.append(try generator.goldenFile(beside: path))
    }
    if keepExact { conversion.rounded = prepared.rounded }
    return conversion
  }

  /// Plans: selection, layout, types, ties, in this order.
  private func prepare(_ source: inout SourceCheckpoint) throws -> PreparedConversion {
    let selected = source.restoring(try source.plan(to: to, recipes, keras))
    let (cast, quantized) = try precision.applied(to: selected)
    let typed = source.restoring(cast)
    try source.quantized.check(typed, blocks: quantized)
    let ties = typed.ties(in: source.checkpoint)
    let isDropping = sharing.tied == .drop
    let isKeeping = outputFormat.holdsAliases && sharing.tied != .copy
    let whole = isDropping ? typed.dropping(ties) : typed
    let kept = MetadataTransfer(
      from: source.checkpoint,
      whole,
      to: outputFormat,
      quantized: quantized
    )
    let architecture = try kept.architectureNote(
      of: source.modelType,
      whole.tensors,
      place: input,
      RecipeCatalog()
    )
    return PreparedConversion(
      plan: whole.noting(note(on: try folder(of: source))).noting(kept.note).noting(architecture),
      format: outputFormat,
      quantized: quantized,
      ties: ties,
      areTiesKept: isKeeping && !isDropping
    )
  }

  /// What a model's folder holds beside the weights; nil for a file.
  private func folder(of source: SourceCheckpoint) throws -> ModelFolder? {
    guard Checkpoint.isFolder(source.path) else { return nil }
    return try ModelFolder(source.path, weights: source.files, output: output)
  }

  /// What comes along into an output that is a folder too.
  private func companions(of source: SourceCheckpoint, to output: String) throws -> [CompanionFile]
  {
    guard ConvertCommand.isFolder(output), let files = try folder(of: source)?.companions else {
      return []
    }
    guard let dtype = precision.dtype else { return files }
    return try files.map { try $0.statingType(dtype.torchName) }
  }

  /// What does not come along, by name.
  private func note(on folder: ModelFolder?) -> String? {
    guard let folder else { return nil }
    if output.map(ConvertCommand.isFolder) ?? true { return folder.note }
    let carried = ModelFolder.list(folder.companions.map(\.name)).map {
      "of the folder, the weights alone are in the file; an output that is a folder takes along what "
        + "belongs to the model: \($0)"
    }
    let notes = [carried, folder.note].compactMap(\.self)
    return notes.isEmpty ? nil : notes.joined(separator: "; ")
  }

  /// The file to write; a folder that is named with a slash is made.
  private func outputPath(_ output: String, from source: SourceCheckpoint) throws -> String {
    guard ConvertCommand.isFolder(output) else { return output }
    try OutputFolder.refuseDataset(around: output)
    try OutputFolder.make(output)
    return (output.hasSuffix("/") ? output : "\(output)/") + usualName(for: source)
  }

  /// The name of the weights in a folder: the one that diffusers or peft looks for, where theirs are read.
  private func usualName(for source: SourceCheckpoint) -> String {
    let stems = ["diffusion_pytorch_model", "adapter_model"]
    let names = source.files.map { ($0 as NSString).lastPathComponent }
    guard outputFormat == .safetensors,
      let stem = stems.first(where: { stem in names.contains { $0.hasPrefix(stem) } })
    else { return outputFormat.usualFileName }
    return "\(stem).safetensors"
  }

  private static func isFolder(_ path: String) -> Bool {
    path.hasSuffix("/") || Checkpoint.isFolder(path)
  }
}
