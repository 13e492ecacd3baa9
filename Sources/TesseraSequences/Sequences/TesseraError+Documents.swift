import TesseraCore

extension TesseraError {
  /// The same error as the fault of one document, which is left out, and not of a run.
  var ofDocument: TesseraError {
    var error = self
    error.detail = .document
    return error
  }
}
