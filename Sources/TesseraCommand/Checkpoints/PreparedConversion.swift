import TesseraCheckpoints
import TesseraCore
import TesseraDistillation
import TesseraRules

/// An input of `convert` with what it takes to plan.
struct SourceCheckpoint {
  let path: String
  /// What is read; `plan` adds to it what lies beside the file.
  private(set) var checkpoint: any CheckpointReader
  private(set) var files: [String]
  /// What was not selected.
  let dropped: [DroppedTensor]
  /// What adapters were merged into.
  let merged: [AdapterMerge.Module]
  /// Which part of a folder was taken; nil where the input is the file or the folder itself.
  let folderNote: String?
  /// What golden samples are made of, where they are asked for.
  let generator: GeneratorOptions.Generator?
  /// What the conversion that wrote this file kept exactly, where that lies beside it.
  let originals: ExactOriginals?
  /// The codes among the tensors, which are only copied.
  let quantized: QuantizedWeights

  /// Opens a checkpoint, or a part of it, computes what the options ask for, and refuses one that
  /// could not be converted completely.
  init(
    path: String,
    opaqueAs opaqueType: ElementType? = nil,
    selecting selection: TensorSelection = TensorSelection(),
    computing compute: (any CheckpointReader) throws -> GeneratorOptions.Prepared = {
      GeneratorOptions.Prepared(checkpoint: $0)
    }
  ) throws {
    var (path, selection) = (path, selection)
    var folderNote: String?
    if selection.choice == .average, Checkpoint.isFolder(path),
      let average = try WeightFolder.average(in: path)
    {
      folderNote = "the average '\(average)'"
      path = average
    }
    self.path = path
    let file = try Checkpoint.file(of: path)
    var opened = try Checkpoint.open(file, opaqueAs: opaqueType)
    originals = try ExactOriginals.beside(file)
    // An average that has a file of its own may stand in a wrapper there, and mostly does not.
    let isWrapped = WeightCandidate.all(among: opened.tensors).contains { $0.role.score > 0 }
    if folderNote != nil, !isWrapped { selection.choice = nil }
    self.folderNote = folderNote
    try SourceCheckpoint.checkConfiguration(in: path)
    let settings = SourceCheckpoint.configuration(beside: path)
    let stored = QuantizedWeights(in: opened, configuration: settings)
    if selection.isEverything {
      dropped = []
      quantized = stored
    } else {
      let selected = try SelectedCheckpoint(selection, of: opened)
      opened = selected
      dropped = selected.dropped
      try stored.check(dropped: dropped)
      quantized = QuantizedWeights(in: selected, configuration: settings)
    }
    let prepared = try compute(opened)
    checkpoint = prepared.checkpoint
    merged = prepared.modules
    generator = prepared.generator
    files = checkpoint.files
    try checkpoint.checkCompleteness(path: file)
  }

  /// Plans the conversion to a layout.
  mutating func plan(
    to target: ConversionTarget?,
    _ options: RecipeOptions,
    _ keras: KerasOptions = KerasOptions()
  ) throws -> ConversionPlan {
    let recipes = try recipes(options, to: target)
    if target?.isKeras == true || target?.isTorch == true { try quantized.checkLayout() }
    if target?.isKeras == true { return try kerasPlan(keras) }
    guard target?.isTorch == true else { return try plan(recipes, sizes: options.sizes) }
    guard let hdf5 = checkpoint as? HDF5Checkpoint else {
      let cause =
        dropped.isEmpty
        ? "a \(checkpoint.format) file; --to torch maps the layers of Keras files"
        : "--to torch takes the model's layers by itself; leave --pick and --strip out"
      throw PlanError(tensor: path, cause: cause)
    }
    let rules = try KerasToTorch.rules(for: KerasModel(reading: hdf5))
    return try ConversionPlan(rules, of: checkpoint)
  }

  /// Plans recipes one after another; none keeps every name.
  func plan(_ recipes: [Recipe], sizes: [String: Int] = [:]) throws -> ConversionPlan {
    try ConversionPlan(recipes, of: checkpoint, configuration: configuration, settings: sizes)
      .naming(dropped: dropped)
      .noting(folderNote)
  }

  /// Plans the variables of a Keras model.
  private mutating func kerasPlan(_ options: KerasOptions) throws -> ConversionPlan {
    guard let like = options.like else { throw PlanError(tensor: path, cause: "no model is named") }
    guard let template = try Checkpoint.open(like) as? HDF5Checkpoint else {
      throw PlanError(tensor: like, cause: "no Keras file; --like takes .keras or .weights.h5")
    }
    let keras = try TorchToKeras(from: checkpoint, like: template, modules: options.modules)
    checkpoint = keras.checkpoint
    files += template.files.filter { !files.contains($0) }
    return try ConversionPlan(keras.rules, of: checkpoint).naming(dropped: dropped)
  }

  /// The plan with what was kept exactly in the place of what would be near it.
  mutating func restoring(_ plan: ConversionPlan) -> ConversionPlan {
    guard let originals else { return plan }
    let restored = originals.restoring(plan)
    if ExactOriginals.areUsed(by: restored), !ExactOriginals.areUsed(by: plan) {
      checkpoint = originals.joined(to: checkpoint)
      files = checkpoint.files
    }
    return restored
  }
}

/// A conversion that is planned in all its parts.
struct PreparedConversion {
  let plan: ConversionPlan
  let format: CheckpointFormat
  /// The results that are stored as blocks.
  let quantized: Set<String>
  /// The results that repeat others, or did before they were dropped.
  let ties: [TensorTie]
  /// Whether these have no bytes of their own.
  let areTiesKept: Bool

  /// How a result is stored.
  func encoding(of output: ConversionPlan.Output) -> CheckpointEncoding {
    quantized.contains(output.tensor.name) ? .q8_0 : .plain
  }

  /// The bytes that a result takes in the file.
  func byteCount(of output: ConversionPlan.Output) -> Int {
    let tensor = output.tensor
    if areTiesKept, ties.contains(where: { $0.name == tensor.name }) { return 0 }
    return encoding(of: output).byteCount(
      elements: tensor.shape.elementCount ?? 0,
      of: tensor.elementType
    ) ?? 0
  }

  /// The bytes of all results.
  var byteCount: Int { plan.outputs.reduce(0) { $0 + byteCount(of: $1) } }

  /// What it takes to get a result's sources back.
  func reversibility(of output: ConversionPlan.Output) -> Reversibility {
    encoding(of: output) == .plain ? output.reversibility : .oneWay
  }

  /// The tensors of the source that are rounded, each with its results.
  var rounded: [String: [String]] {
    ExactOriginals.rounded(by: plan) { reversibility(of: $0) == .exact }
  }

  /// The peak of the program's memory, in bytes, as far as it can be foreseen.
  func forecast(reading checkpoint: any CheckpointReader) -> Int {
    MemoryForecast(plan, reading: checkpoint, quantized: quantized).peakBytes
  }

  /// The conversion of a source, with these files beside it.
  func conversion(
    of source: SourceCheckpoint,
    besides companions: [CompanionFile],
    inFolder: Bool
  ) -> CheckpointConversion {
    var conversion = CheckpointConversion(
      of: source.checkpoint,
      sourceFiles: source.files,
      plan: plan,
      toolVersion: ToolVersion.current
    )
    conversion.ties = ties
    conversion.areTiesKept = areTiesKept
    // Beside a single file, another model's settings may stand already.
    let made = (inFolder ? plan.companions : [:]).sorted { $0.key < $1.key }
    conversion.companions =
      companions.filter { plan.companions[$0.name] == nil }
      + made.map { CompanionFile(name: $0.key, content: .text($0.value)) }
    return conversion
  }
}
