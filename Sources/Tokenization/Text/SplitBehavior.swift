/// What becomes of the matches by which a text is split.
enum SplitBehavior: String, Sendable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"

  /// Cuts a piece by its matches.
  ///
  /// - Parameters:
  ///   - piece: The piece.
  ///   - matches: What matches in it, in order.
  ///   - isInverted: Whether the matches are what stands between.
  ///   - pieces: Takes the parts.
  func cut(
    _ piece: Range<Int>,
    by matches: [Range<Int>],
    isInverted: Bool = false,
    into pieces: inout [Range<Int>]
  ) {
    var parts: [(range: Range<Int>, isMatch: Bool)] = []
    parts.reserveCapacity(matches.count * 2 + 1)
    var last = piece.lowerBound
    for match in matches {
      if match.lowerBound > last { parts.append((last..<match.lowerBound, isInverted)) }
      parts.append((match, !isInverted))
      last = match.upperBound
    }
    if last < piece.upperBound { parts.append((last..<piece.upperBound, isInverted)) }
    switch self {
    case .isolated: for part in parts { pieces.append(part.range) }
    case .removed: for part in parts where !part.isMatch { pieces.append(part.range) }
    case .contiguous:
      var previous: Bool?
      for part in parts {
        if part.isMatch == previous {
          pieces.append(pieces.removeLast().lowerBound..<part.range.upperBound)
        } else {
          pieces.append(part.range)
        }
        previous = part.isMatch
      }
    case .mergedWithPrevious:
      var wasMatch = false
      for (index, part) in parts.enumerated() {
        if part.isMatch, !wasMatch, index > 0 {
          pieces.append(pieces.removeLast().lowerBound..<part.range.upperBound)
        } else {
          pieces.append(part.range)
        }
        wasMatch = part.isMatch
      }
    case .mergedWithNext:
      var merged: [Range<Int>] = []
      var wasMatch = false
      for (index, part) in parts.reversed().enumerated() {
        if part.isMatch, !wasMatch, index > 0 {
          merged.append(part.range.lowerBound..<merged.removeLast().upperBound)
        } else {
          merged.append(part.range)
        }
        wasMatch = part.isMatch
      }
      pieces += merged.reversed()
    }
  }
}
