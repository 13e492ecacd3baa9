/// A .npy file that is damaged, or that holds what no tensor is.
public struct NPYError: ClassifiedError, Hashable {
  /// The file, or the member of an archive, as the user knows it.
  public let source: String
  /// Where in the file: `magic`, `header`, `descr`, `fortran_order`, `shape` or `data`.
  public let place: String
  /// What is wrong, and what to do where something can be done.
  public let reason: String

  /// Creates an error.
  public init(source: String, place: String, reason: String) {
    self.source = source
    self.place = place
    self.reason = reason
  }

  /// Always malformed input.
  public var kind: FailureKind { .malformedInput }

  /// One line: file, place and cause.
  public var description: String { "\(source): npy \(place): \(reason)" }
}

extension NPYError {
  /// Whether the array holds pickled Python objects, which only running them would give.
  package var isOfObjects: Bool { place == "descr" && reason.contains("pickled") }
  /// Whether the array is sound but has no type of ours: strings, dates, structures, raw bytes.
  package var isOfOtherTypes: Bool { place == "descr" && !isOfObjects }
  /// Whether the array holds what no tensor does: strings, dates, structures.
  package var isWithoutMeaning: Bool {
    isOfOtherTypes && ["strings", "dates", "structured"].contains { reason.contains($0) }
  }
}
