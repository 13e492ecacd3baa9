/// A probability map that cannot be, or scores that it cannot take.
public enum ProbabilityError: ClassifiedError, Hashable {
  /// A setting that no map has: what is wrong, and what is known.
  case setting(String)
  /// A score that is plus infinity or not a number, at a place in its row.
  case notFinite(index: Int)
  /// A row without a score above minus infinity.
  case empty
  /// Scores whose polynomial leaves the range of float64.
  case overflow

  /// Settings are mismatches, scores numeric limits.
  public var kind: FailureKind { if case .setting = self { .mismatch } else { .numericLimit } }

  /// One line with the place and what to do.
  public var description: String {
    switch self {
    case .setting(let reason): reason
    case .notFinite(let index):
      "score \(index) of the row is infinite or not a number; look for an overflow where it was made"
    case .empty: "the row has no score above minus infinity, so it has no distribution"
    case .overflow: "the scores are too large for a Taylor polynomial; raise the temperature"
    }
  }
}
