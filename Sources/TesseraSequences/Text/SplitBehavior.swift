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
    let parts = Self.parts(of: piece, matches, isInverted: isInverted)
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
    case .mergedWithPrevious: Self.merge(parts, into: &pieces)
    case .mergedWithNext:
      var merged: [Range<Int>] = []
      Self.merge(parts.reversed(), into: &merged)
      pieces += merged.reversed()
    }
  }

  private typealias Part = (range: Range<Int>, isMatch: Bool)

  /// The matches and what stands between them, in order.
  private static func parts(
    of piece: Range<Int>,
    _ matches: [Range<Int>],
    isInverted: Bool
  ) -> [Part] {
    var parts: [Part] = []
    parts.reserveCapacity(matches.count * 2 + 1)
    var last = piece.lowerBound
    for match in matches {
      if match.lowerBound > last { parts.append((last..<match.lowerBound, isInverted)) }
      parts.append((match, !isInverted))
      last = match.upperBound
    }
    if last < piece.upperBound { parts.append((last..<piece.upperBound, isInverted)) }
    return parts
  }

  /// Appends parts, a match as one with the part before it unless that is a match too.
  private static func merge(_ parts: some Sequence<Part>, into pieces: inout [Range<Int>]) {
    var wasMatch = true
    for part in parts {
      if part.isMatch, !wasMatch {
        let other = pieces.removeLast()
        let start = min(other.lowerBound, part.range.lowerBound)
        pieces.append(start..<max(other.upperBound, part.range.upperBound))
      } else {
        pieces.append(part.range)
      }
      wasMatch = part.isMatch
    }
  }
}
