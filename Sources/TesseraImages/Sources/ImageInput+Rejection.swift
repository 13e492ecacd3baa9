public import TesseraCore

extension ImageInput {
  /// The rejection of this input for an error, in one line and without the place of this machine.
  ///
  /// - Parameters:
  ///   - stage: The step that refused it; an error of preprocessing says so itself.
  ///   - error: What the step threw.
  /// - Returns: The line for `rejected.jsonl`.
  public func rejection(_ stage: Rejection.Stage, _ error: TesseraError) -> Rejection {
    // The line names the source already.
    var error = error
    error.file = ""
    return Rejection(
      source: source,
      stage: error.detail == .unfit ? .preprocess : stage,
      reason: String(describing: error)
    )
  }
}
