import TesseraCore

extension TesseraError {
  /// The error with the name of the recipe that it comes from.
  func inRecipe(_ name: String) -> TesseraError {
    guard !name.isEmpty else { return self }
    var error = self
    error.cause += " (recipe \(name))"
    return error
  }
}
