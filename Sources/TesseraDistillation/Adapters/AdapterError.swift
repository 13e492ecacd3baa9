public import TesseraCore

/// Why an adapter cannot be merged, in one line.
public struct AdapterError: ClassifiedError, Hashable {
  /// The adapter's file.
  public let path: String
  /// The adapter's tensor or module that decided; empty where it is the whole file.
  public let place: String
  /// What does not fit and what to do.
  public let cause: String
  /// A mismatch, unless the file itself is malformed.
  public let kind: FailureKind

  /// Creates an error about a place in an adapter.
  public init(path: String, place: String = "", cause: String, kind: FailureKind = .mismatch) {
    self.path = path
    self.place = place
    self.cause = cause
    self.kind = kind
  }

  /// File, place and cause on one line.
  public var description: String {
    place.isEmpty ? "\(path): \(cause)" : "\(path): '\(place)': \(cause)"
  }
}
