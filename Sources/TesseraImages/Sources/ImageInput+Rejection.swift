public import TesseraCore

extension ImageInput {
  /// The rejection of this input for an error, in one line and without the place of this machine.
  ///
  /// - Parameters:
  ///   - stage: The step that refused it; an error of preprocessing says so itself.
  ///   - error: What the step threw.
  /// - Returns: The line for `rejected.jsonl`.
  public func rejection(_ stage: Rejection.Stage, _ error: any ClassifiedError) -> Rejection {
    var reason = String(describing: error)
    switch location {
    case .file(let root): reason = reason.replacing(root + "/", with: "")
    case .path(let path): reason = reason.replacing(path, with: source)
    case .member(let archive, _, _):
      let name = archive.split(separator: "/").last.map(String.init) ?? "archive"
      reason = reason.replacing(archive, with: name)
    case .refused: break
    }
    // The line names the source already.
    let prefix = source + ": "
    if reason.hasPrefix(prefix) { reason.removeFirst(prefix.count) }
    let isUnfit = (error as? ImageError)?.cause == .unfit
    return Rejection(
      source: source,
      stage: isUnfit ? .preprocess : stage,
      reason: reason.replacing("\n", with: " ")
    )
  }
}
