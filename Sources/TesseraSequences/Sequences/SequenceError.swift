public import TesseraCore

/// Why a layout of sequences cannot be used, or a document is no sequence under it.
public struct SequenceError: ClassifiedError, Hashable {
  /// One line: what, where, and what to do.
  public let reason: String
  /// Malformed input, a mismatch or a number beyond its type.
  public let kind: FailureKind
  /// Whether only this document is at fault: it is left out and listed, and the others go on.
  public let isDocumentFault: Bool

  /// Creates an error.
  public init(_ reason: String, kind: FailureKind = .mismatch, isDocumentFault: Bool = false) {
    self.reason = reason
    self.kind = kind
    self.isDocumentFault = isDocumentFault
  }

  /// The reason.
  public var description: String { reason }
}
