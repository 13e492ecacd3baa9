package import TesseraImages
package import TesseraTokenizers

/// A plan with the images it was made of, before it stands in its folder.
package struct DatasetDraft {
  /// The plan.
  package let plan: DatasetPlan
  /// What became of the captions; nil where none were asked for.
  package let captions: CaptionCounts?
  private let inputs: LazyMapSequence<EnumeratedSequence<[ImageInput]>, PlannedInput>
  private let planning: InputPlanning

  /// Plans a dataset: looks at each image without opening it.
  ///
  /// - Parameters:
  ///   - images: The images, as ``ImageInputs`` finds them.
  ///   - request: What fixes the dataset beside them.
  ///   - tokenizer: The tokenizer that the request names, opened for encoding.
  /// - Throws: What a table of captions or a file of the sequences has against it, and `TesseraError` where an
  ///   image cannot be looked at now.
  package init(
    of images: ImageInputs,
    _ request: TokenizationRequest,
    _ tokenizer: ImageTokenizer
  ) throws {
    planning = InputPlanning()
    let lookup = try request.captions?.source(request.captionRules).captions(of: images.inputs)
    inputs = planning.inputs(of: images.inputs, captions: lookup)
    var sequence = request.sequence
    sequence?.positions = request.positions.rawValue
    plan = try DatasetPlan(
      settings: request.settings(
        of: tokenizer,
        sequence: sequence.map { try SequenceStage($0).settings }
      ),
      tokenizer: ImageTokenizer.absoluteName(of: request.tokenizer, in: WorkingFolder.path),
      sequenceFiles: sequence.map { SequenceFiles(of: $0) } ?? SequenceFiles(),
      inputs: inputs,
      account: images.account
    )
    try planning.check()
    // Each input was looked at once by now; more looks would count it again.
    captions = try lookup?.account(of: planning.captions)
  }

  /// Puts the plan into a folder, or finds it there: see ``DatasetFolder/prepare(_:inputs:check:)``.
  package func prepare(in folder: DatasetFolder) throws -> DatasetFolder.Content {
    try folder.prepare(plan, inputs: inputs, check: planning.check)
  }
}
