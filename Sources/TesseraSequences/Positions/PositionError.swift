public import TesseraCore

/// Positions that a scheme does not define, or numbers that its type does not hold.
public enum PositionError: ClassifiedError, Hashable {
  /// A line of a segments file that is no segment; lines count from 1.
  case segment(line: Int, reason: String)
  /// A scheme, option or segment that do not go together.
  case mismatch(String)
  /// Too many tokens, or ids beyond int32 or beyond float32's exact range.
  case limit(String)

  /// Malformed lines, mismatched settings and numeric limits.
  public var kind: FailureKind {
    switch self {
    case .segment: .malformedInput
    case .mismatch: .mismatch
    case .limit: .numericLimit
    }
  }

  /// One line with the place and the cause.
  public var description: String {
    switch self {
    case .segment(let line, let reason): "line \(line): \(reason)"
    case .mismatch(let reason), .limit(let reason): reason
    }
  }
}
