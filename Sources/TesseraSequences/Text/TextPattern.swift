import TesseraCore

/// A regular expression of the kind that tokenizers split text by.
///
/// It has alternatives in order, classes of Unicode categories, greedy repetition and lookahead; what
/// it does not know it refuses by name. Matching backtracks as Oniguruma and PCRE do: the first alternative that leads to a match wins.
struct TextPattern: Sendable {
  /// A step of the program.
  enum Step: Sendable {
    /// One scalar of a set.
    case one(Int)
    /// As many scalars of a set as there are, from a least to a greatest number; backs off unless
    /// possessive.
    case many(Int, least: Int, most: Int, isPossessive: Bool)
    /// The first way, and where it fails the second.
    case split(Int, Int)
    case jump(Int)
    /// The steps behind it up to `accept`, then those at `next`; only where they match, or do not.
    case look(isNegative: Bool, next: Int)
    /// The beginning and the end of a line, as in Ruby's patterns.
    case start, end
    case accept
  }

  /// A set of scalars.
  struct Scalars: Sendable {
    var categories: UInt32 = 0
    var hasSpace = false
    var hasWord = false
    /// Sets whose complement belongs to this one.
    var complements: [Scalars] = []
    var ranges: [ClosedRange<UInt32>] = []
    var isNegated = false
    /// The answers for ASCII.
    private var ascii: (UInt64, UInt64) = (0, 0)
    private var isOrdered = false

    init() {}

    /// Puts the ranges in order and fixes the answers for ASCII, once the set is complete.
    mutating func close() {
      // A class may list thousands of characters, and each step of a match asks.
      ranges.sort { $0.lowerBound < $1.lowerBound }
      ranges = ranges.reduce(into: []) { merged, range in
        if let last = merged.last, range.lowerBound <= last.upperBound {
          merged[merged.count - 1] =
            last.lowerBound...max(last.upperBound, range.upperBound)
        } else {
          merged.append(range)
        }
      }
      isOrdered = true
      ascii = (0, 0)
      for code in 0..<128 as Range<UInt32> where computed(code) {
        if code < 64 { ascii.0 |= 1 << UInt64(code) } else { ascii.1 |= 1 << UInt64(code - 64) }
      }
    }

    @inline(__always)
    func contains(_ scalar: UInt32) -> Bool {
      if scalar < 64 { return ascii.0 >> UInt64(scalar) & 1 == 1 }
      if scalar < 128 { return ascii.1 >> UInt64(scalar - 64) & 1 == 1 }
      return computed(scalar)
    }

    private func computed(_ scalar: UInt32) -> Bool {
      let kind = ScalarClass(scalar)
      let isInside =
        kind.mask & categories != 0 || (hasSpace && kind.isSpace) || (hasWord && kind.isWord)
        || isListed(scalar)
        || complements.contains { !$0.computed(scalar) }
      return isInside != isNegated
    }

    /// Whether a range holds a scalar.
    private func isListed(_ scalar: UInt32) -> Bool {
      guard isOrdered else { return ranges.contains { $0.contains(scalar) } }
      var (low, high) = (0, ranges.count)
      while low < high {
        let middle = (low + high) / 2
        if ranges[middle].upperBound < scalar { low = middle + 1 } else { high = middle }
      }
      return low < ranges.count && ranges[low].contains(scalar)
    }
  }

  private(set) var steps: [Step] = []
  private(set) var sets: [Scalars] = []

  /// Parts, with those of repeated groups counted as often as they repeat, beyond which a pattern is
  /// refused.
  private static let mostParts = 1 << 16

  /// Reads a pattern.
  ///
  /// - Throws: `TesseraError` that quotes what is not known.
  init(_ pattern: String) throws(TesseraError) {
    guard pattern.utf8.count <= Self.mostParts else {
      throw .unsupported("a pattern of \(pattern.utf8.count) bytes")
    }
    var parser = TextPatternParser(pattern)
    let node = try parser.parse()
    var rest = Self.mostParts
    emit(node, &rest)
    guard rest > 0 else {
      throw .unsupported("a pattern of more than \(Self.mostParts) parts")
    }
    steps.append(.accept)
  }

  private mutating func add(_ set: Scalars) -> Int {
    sets.append(set)
    return sets.count - 1
  }

  /// Appends the steps of a part; none once `rest` parts were appended.
  private mutating func emit(_ node: TextPatternParser.Node, _ rest: inout Int) {
    rest -= 1
    guard rest > 0 else { return }
    switch node {
    case .set(let set): steps.append(.one(add(set)))
    case .sequence(let nodes): for node in nodes { emit(node, &rest) }
    case .start: steps.append(.start)
    case .end: steps.append(.end)
    case .look(let isNegative, let node):
      let place = steps.count
      steps.append(.accept)
      emit(node, &rest)
      steps.append(.accept)
      steps[place] = .look(isNegative: isNegative, next: steps.count)
    case .choice(let nodes): emit(choice: nodes, &rest)
    case .repeated(.set(let set), let least, let most, let isPossessive):
      steps.append(.many(add(set), least: least, most: most, isPossessive: isPossessive))
    case .repeated(let node, let least, let most, _):
      for _ in 0..<least where rest > 0 { emit(node, &rest) }
      if most == .max {
        emit(endless: node, &rest)
      } else {
        emit(node, atMost: most - least, &rest)
      }
    }
  }

  /// Appends alternatives, the first of which is tried first.
  private mutating func emit(choice nodes: [TextPatternParser.Node], _ rest: inout Int) {
    var jumps: [Int] = []
    for (index, node) in nodes.enumerated() {
      let isLast = index == nodes.count - 1
      let place = steps.count
      if !isLast { steps.append(.accept) }
      emit(node, &rest)
      if isLast { continue }
      jumps.append(steps.count)
      steps.append(.accept)
      steps[place] = .split(place + 1, steps.count)
    }
    for jump in jumps { steps[jump] = .jump(steps.count) }
  }

  /// Appends a part that comes any number of times.
  private mutating func emit(endless node: TextPatternParser.Node, _ rest: inout Int) {
    let place = steps.count
    steps.append(.accept)
    emit(node, &rest)
    steps.append(.jump(place))
    steps[place] = .split(place + 1, steps.count)
  }

  /// Appends a part that may come up to so many times.
  private mutating func emit(
    _ node: TextPatternParser.Node,
    atMost most: Int,
    _ rest: inout Int
  ) {
    var splits: [Int] = []
    for _ in 0..<most where rest > 0 {
      splits.append(steps.count)
      steps.append(.accept)
      emit(node, &rest)
    }
    for split in splits { steps[split] = .split(split + 1, steps.count) }
  }
}

/// Runs a pattern over texts; keeps its stack.
struct TextPatternMatcher: Sendable {
  private struct Choice {
    let step: Int
    let position: Int
    /// Where a repetition may back off to, a scalar at a time; the position itself for other choices.
    let low: Int
  }

  let pattern: TextPattern
  private var stack: [Choice] = []
  private var work = 0
  private var mostWork = TextPatternMatcher.leastWork

  /// Steps beyond which a pattern is taken for one that never ends: so many for a text, and more for
  /// each of its bytes.
  private static let leastWork = 50_000_000
  private static let workPerByte = 256
  /// The choices that may be open at once: a loop without text opens one each time round.
  private static let mostChoices = 1 << 23

  init(_ pattern: TextPattern) { self.pattern = pattern }

  /// The matches in a text, in order; empty ones are none.
  mutating func matches(in text: [UInt8]) throws(TesseraError) -> [Range<Int>] {
    work = 0
    mostWork = Self.leastWork + Self.workPerByte * text.count
    var found: [Range<Int>] = []
    var position = 0
    while position < text.count {
      if let end = try match(text, at: position), end > position {
        found.append(position..<end)
        position = end
      } else {
        position = UTF8Scalars.decode(text, position).next
      }
    }
    return found
  }

  /// Whether a text without any scalar is a match.
  mutating func matchesNothing() throws(TesseraError) -> Bool { try match([], at: 0) != nil }

  /// The end of the match that starts at a place; nil where there is none.
  private mutating func match(_ text: [UInt8], at start: Int) throws(TesseraError) -> Int? {
    stack.removeAll(keepingCapacity: true)
    return try run(text, step: 0, position: start)
  }

  private mutating func run(
    _ text: [UInt8],
    step: Int,
    position: Int
  ) throws(TesseraError) -> Int? {
    let floor = stack.count
    var (step, position) = (step, position)
    while true {
      work += 1
      let isAlive: Bool
      if case .accept = pattern.steps[step] {
        stack.removeSubrange(floor...)
        return position
      } else if case .look(let isNegative, let next) = pattern.steps[step] {
        isAlive = (try run(text, step: step + 1, position: position) != nil) != isNegative
        step = next
      } else {
        isAlive = take(text, &step, &position)
      }
      guard work < mostWork, stack.count < Self.mostChoices else {
        throw TesseraError.malformed("a pattern that backtracks without end")
      }
      guard isAlive || backOff(text, to: floor, &step, &position) else { return nil }
    }
  }

  /// Takes one step that looks at no others; whether it matches.
  @inline(__always)
  private mutating func take(_ text: [UInt8], _ step: inout Int, _ position: inout Int) -> Bool {
    switch pattern.steps[step] {
    case .one(let set):
      guard position < text.count else { return false }
      let (scalar, next) = UTF8Scalars.decode(text, position)
      position = next
      step += 1
      return pattern.sets[set].contains(scalar)
    case .many(let set, let least, let most, let isPossessive):
      guard let low = consume(set, text, &position, least, most) else { return false }
      step += 1
      if !isPossessive, position > low, !isAccept(step) {
        stack.append(Choice(step: step, position: position, low: low))
      }
      return true
    case .split(let first, let second):
      stack.append(Choice(step: second, position: position, low: position))
      step = first
      return true
    case .jump(let target):
      step = target
      return true
    case .start:
      step += 1
      return position == 0 || (position < text.count && text[position - 1] == UInt8(ascii: "\n"))
    case .end:
      step += 1
      return position == text.count || text[position] == UInt8(ascii: "\n")
    case .look, .accept: return true
    }
  }

  /// Goes back to the last choice above `floor`; false where none is left.
  @inline(__always)
  private mutating func backOff(
    _ text: [UInt8],
    to floor: Int,
    _ step: inout Int,
    _ position: inout Int
  ) -> Bool {
    guard stack.count > floor, let choice = stack.popLast() else { return false }
    step = choice.step
    position = choice.position
    guard choice.position > choice.low else { return true }
    position = UTF8Scalars.before(text, position)
    if position > choice.low {
      stack.append(Choice(step: step, position: position, low: choice.low))
    }
    return true
  }

  private func isAccept(_ step: Int) -> Bool {
    if case .accept = pattern.steps[step] { true } else { false }
  }

  /// Takes scalars of a set; returns where a repetition may back off to, nil for too few.
  private mutating func consume(
    _ set: Int,
    _ text: [UInt8],
    _ position: inout Int,
    _ least: Int,
    _ most: Int
  ) -> Int? {
    var count = 0
    var low = position
    while count < most, position < text.count {
      let (scalar, next) = UTF8Scalars.decode(text, position)
      guard pattern.sets[set].contains(scalar) else { break }
      position = next
      count += 1
      if count == least { low = position }
    }
    work += count / 16
    return count >= least ? low : nil
  }
}
