extension TesseraError {
  /// Whether an array holds pickled Python objects, which only running them would give.
  package var isOfObjects: Bool { detail == .pickled }
  /// Whether an array is sound but has no type of ours: strings, dates, structures, raw bytes.
  package var isOfOtherTypes: Bool { detail == .elementType || isWithoutMeaning }
  /// Whether an array holds what no tensor does: strings, dates, structures.
  package var isWithoutMeaning: Bool { detail == .noNumbers }
}
