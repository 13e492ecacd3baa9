public import TesseraCore

extension TesseraError {
  /// A selection that fits nothing, or more than one thing.
  ///
  /// - Parameters:
  ///   - cause: What does not fit.
  ///   - candidates: What could be meant.
  /// - Returns: The error.
  public static func selection(_ cause: String, among candidates: [String]) -> TesseraError {
    guard !candidates.isEmpty else { return .mismatch("\(cause); no name has a wrapper") }
    let shown = candidates.prefix(8).map { "'\($0)'" }.joined(separator: ", ")
    let more = candidates.count > 8 ? " and \(candidates.count - 8) more" : ""
    return .mismatch("\(cause); there is \(shown)\(more)")
  }
}
