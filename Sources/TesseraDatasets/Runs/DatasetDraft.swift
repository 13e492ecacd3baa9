package import TesseraImages
package import TesseraTokenizers

/// A plan with the images it was made of, before it stands in its folder.
package struct DatasetDraft {
  /// The plan.
  package let plan: DatasetPlan
  private let inputs: LazyMapSequence<[ImageInput], PlannedInput>
  private let planning: InputPlanning

  /// Plans a dataset: looks at each image without opening it.
  ///
  /// - Parameters:
  ///   - images: The images, as ``ImageInputs`` finds them.
  ///   - request: What fixes the dataset beside them.
  ///   - tokenizer: The tokenizer that the request names, opened for encoding.
  /// - Throws: What a list of captions or a file of the sequences has against it, and `TesseraError` where an
  ///   image cannot be looked at now.
  package init(
    of images: ImageInputs,
    _ request: TokenizationRequest,
    _ tokenizer: ImageTokenizer
  ) throws {
    planning = InputPlanning()
    let captions = try request.captions?.source().captions(of: images.inputs)
    inputs = planning.inputs(of: images.inputs, captions: captions)
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
  }

  /// Puts the plan into a folder, or finds it there: see ``DatasetFolder/prepare(_:inputs:check:)``.
  package func prepare(in folder: DatasetFolder) throws -> DatasetFolder.Content {
    try folder.prepare(plan, inputs: inputs, check: planning.check)
  }
}
