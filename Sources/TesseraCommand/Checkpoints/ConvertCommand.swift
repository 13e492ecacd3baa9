import ArgumentParser
import TesseraCheckpoints
import TesseraCore
import TesseraDistillation
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
        tessera convert training.pt -o weights.safetensors --pick ema \\
          --dtype bf16 --keep-f32 '*norm*'
        tessera convert tessera-f8 -o encoder.onnx
        tessera convert trained.pt -o model.weights.h5 --to keras \\
          --like model.keras --module dense=fc1

      Without --to torch, tensors keep their names (in HDF5, the path without its first slash) and \
      their layout. With it, each Keras layer becomes the PyTorch module that computes the same: \
      names with dots, kernels transposed, gates reordered. Every variable is used, or named as \
      dropped; a layer without such a module ends the conversion with exit code 4 and no file. \
      What PyTorch's defaults do otherwise (epsilon, momentum) stands in the metadata \
      'tessera.config'.

      The output's ending, or --to, determines the format: .safetensors, .npz, .h5 (a name's \
      slashes make groups, dots stay), .weights.h5 (Keras 3), .pt (opens with weights_only), \
      .gguf. A Hugging Face folder (config.json beside weights) into a folder takes every file \
      along that is no weights, and names what it leaves out.

      What a file says beside its tensors is kept where the result has a place for it (GGUF's keys \
      in GGUF, HDF5's attributes in HDF5, texts of safetensors, .npz and .pt in each other) and \
      named where not. A tensor that cannot be read, or a file without one, ends the conversion \
      with exit code 4; --strip 'NAME*' goes on without it. Only a file that an earlier conversion \
      wrote is replaced.

      --lora merges adapters, --bake computes parametrized weights, --fold-sigma and \
      --fold-timestep fix the noise level of a one-step generator, in this order and before names \
      change.

      With -o FILE.onnx the input is a tokenizer, as `tokenize --tokenizer` takes it: its encoder \
      is written as an ONNX graph (opset 17) from uint8 pixels [batch, height, width, 3] to codes \
      and latents. Range, network and quantizer are in it. Orientation, resize, crop, pad and \
      alpha are not, since ONNX has no resize that rounds as Pillow's: 'tessera prepare --as npy' \
      with the tokenizer's rules makes the pixels.
      """
  )

  @Argument(
    help: "A checkpoint of any format, a shard index, or a folder with one.",
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

  @Option(help: "The most data per file, such as 5GB (10^9) or 2GiB; more become shards.")
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
    try keras.check(to)
    guard !keepExact || generator.isEmpty else {
      throw ValidationError(
        "--keep-exact: --lora, --bake and --fold-sigma compute weights anew; keep the input itself."
      )
    }
    if let fault = try request.fault(writing: output) { throw ValidationError(fault) }
  }

  /// What is to be done, but for what is computed.
  private var request: ConversionRequest {
    var request = ConversionRequest(to: to, recipes, keras)
    request.selection = selection.selection
    request.opaqueType = opaqueDtype?.elementType
    request.precision = precision.dtype
    request.keptFloat32 = precision.keepFloat32
    request.ties = sharing.tied
    request.shardByteLimit = shardSize?.bytes
    request.isHashingSource = sourceHash
    request.keepsExact = keepExact
    request.isReplacingOthers = force
    return request
  }

  func run() async throws {
    if writesGraph { return try writeGraph() }
    var computed: GeneratorRequest.Prepared?
    let prepared = try PreparedConversion(of: input, to: output, request) { checkpoint in
      let result = try generator.request.applied(to: checkpoint)
      computed = result
      return result.checkpoint
    }
    if plan {
      let description = PlanReport(prepared)
      if report.json { return try report.report(description) }
      return try StandardOutput.print(description.table.printable)
    }
    guard let output else { return }
    let progress = ByteProgress("convert", bytes: prepared.byteCount, isQuiet: report.quiet)
    let golden = computed?.generator
    let written = try await prepared.write(
      to: output,
      adding: { path in try golden.map { [try $0.goldenFile(beside: path)] } ?? [] },
      progress: progress.show
    )
    let summary = ConversionReport(
      prepared,
      written,
      merged: computed?.modules ?? [],
      seconds: progress.seconds
    )
    for line in summary.lines { report.note(line) }
    try report.report(summary)
  }
}
