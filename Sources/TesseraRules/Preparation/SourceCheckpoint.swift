package import TesseraCheckpoints
package import TesseraCore

/// A checkpoint that is converted or compared, with what it takes to plan.
package struct SourceCheckpoint: Sendable {
  /// The file or folder, as it was named; the part of a folder that was taken.
  package let path: String
  /// What is read; ``plan(_:)`` adds to it what lies beside the file.
  package private(set) var checkpoint: any CheckpointReader
  /// The files behind it.
  package private(set) var files: [String]
  /// What was not selected.
  package let dropped: [DroppedTensor]
  /// The codes among the tensors, which are only copied.
  package let quantized: QuantizedWeights
  /// Which part of a folder was taken; nil where the input is the file or the folder itself.
  private let folderNote: String?
  /// What the conversion that wrote this file kept exactly, where that lies beside it.
  private let originals: ExactOriginals?

  /// Opens a checkpoint, or a part of it, and refuses one that could not be converted completely.
  ///
  /// - Parameters:
  ///   - path: A file of any format, a shard index, or a folder that holds one.
  ///   - opaqueType: What untyped HDF5 elements are; nil refuses them.
  ///   - selection: Which tensors are taken.
  ///   - compute: Makes other weights of those that were selected, such as with an adapter merged.
  /// - Throws: A reader's error, `TesseraError`, and what `compute` throws.
  package init(
    path: String,
    opaqueAs opaqueType: ElementType? = nil,
    selecting selection: TensorSelection = TensorSelection(),
    computing compute: (any CheckpointReader) throws -> any CheckpointReader = { $0 }
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
    checkpoint = try compute(opened)
    files = checkpoint.files
    try checkpoint.checkCompleteness(path: file)
  }

  /// Plans the names and shapes that a request asks for.
  ///
  /// - Throws: `TesseraError`, or the error of a reader of the model that weights are for.
  package mutating func plan(_ request: ConversionRequest) throws -> ConversionPlan {
    let target = request.target
    let recipes = try recipes(request)
    if target?.isKeras == true || target?.isTorch == true { try quantized.checkLayout() }
    if target?.isKeras == true { return try kerasPlan(request) }
    guard target?.isTorch == true else { return try plan(recipes, sizes: request.sizes) }
    guard let hdf5 = checkpoint as? HDF5Checkpoint else {
      let cause =
        dropped.isEmpty
        ? "a \(checkpoint.format) file; --to torch maps the layers of Keras files"
        : "--to torch takes the model's layers by itself; leave --pick and --strip out"
      throw TesseraError.mismatch(cause, place: path)
    }
    let rules = try KerasToTorch.rules(for: KerasModel(reading: hdf5))
    return try ConversionPlan(rules, of: checkpoint)
  }

  /// Plans recipes one after another; none keeps every name.
  ///
  /// - Throws: `TesseraError`.
  package func plan(_ recipes: [Recipe], sizes: [String: Int] = [:]) throws -> ConversionPlan {
    try ConversionPlan(recipes, of: checkpoint, configuration: configuration, settings: sizes)
      .naming(dropped: dropped)
      .noting(folderNote)
  }

  /// Plans the variables of a Keras model.
  private mutating func kerasPlan(_ request: ConversionRequest) throws -> ConversionPlan {
    guard let like = request.kerasModel else {
      throw TesseraError.mismatch("no model is named", place: path)
    }
    guard let template = try Checkpoint.open(like) as? HDF5Checkpoint else {
      throw TesseraError.mismatch("no Keras file; --like takes .keras or .weights.h5", place: like)
    }
    let keras = try TorchToKeras(from: checkpoint, like: template, modules: request.kerasModules)
    checkpoint = keras.checkpoint
    files += template.files.filter { !files.contains($0) }
    return try ConversionPlan(keras.rules, of: checkpoint).naming(dropped: dropped)
  }

  /// The plan with what was kept exactly in the place of what would be near it.
  package mutating func restoring(_ plan: ConversionPlan) -> ConversionPlan {
    guard let originals else { return plan }
    let restored = originals.restoring(plan)
    if ExactOriginals.areUsed(by: restored), !ExactOriginals.areUsed(by: plan) {
      checkpoint = originals.joined(to: checkpoint)
      files = checkpoint.files
    }
    return restored
  }
}
