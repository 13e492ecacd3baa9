extension TesseraError {
  /// A score that is infinite or not a number, at an index into its row.
  package static func notFinite(score index: Int) -> TesseraError {
    .limit(
      "score \(index) of the row is infinite or not a number; look for an overflow where it was made"
    )
  }

  /// A row without a score above minus infinity.
  package static var emptyRow: TesseraError {
    .limit("the row has no score above minus infinity, so it has no distribution")
  }

  /// Scores on which a Taylor polynomial leaves the range.
  package static var polynomialOverflow: TesseraError {
    .limit("the scores are too large for a Taylor polynomial; raise the temperature")
  }
}
