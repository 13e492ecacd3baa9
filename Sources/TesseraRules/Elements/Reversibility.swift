/// What it takes to undo an operation.
package enum Reversibility: String, Sendable, Hashable, Comparable, CaseIterable {
  /// The inverse gives the same bytes.
  case exact
  /// The inverse gives the values but for rounding.
  case rounding
  /// The inverse needs a setting that the tensors do not show.
  case config
  /// There is no inverse.
  case oneWay = "one-way"

  /// Orders by what is lost, least first.
  package static func < (a: Reversibility, b: Reversibility) -> Bool {
    (allCases.firstIndex(of: a) ?? 0) < (allCases.firstIndex(of: b) ?? 0)
  }
}
