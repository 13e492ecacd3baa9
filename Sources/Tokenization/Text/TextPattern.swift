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

    init() {}

    /// Fixes the answers for ASCII, once the set is complete.
    mutating func close() {
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
        || ranges.contains { $0.contains(scalar) }
        || complements.contains { !$0.computed(scalar) }
      return isInside != isNegated
    }
  }

  private(set) var steps: [Step] = []
  private(set) var sets: [Scalars] = []

  /// Reads a pattern.
  ///
  /// - Throws: ``TextTokenizerError`` that quotes what is not known.
  init(_ pattern: String) throws(TextTokenizerError) {
    var parser = TextPatternParser(pattern)
    let node = try parser.parse()
    emit(node)
    steps.append(.accept)
  }

  private mutating func add(_ set: Scalars) -> Int {
    sets.append(set)
    return sets.count - 1
  }

  private mutating func emit(_ node: TextPatternParser.Node) {
    switch node {
    case .set(let set): steps.append(.one(add(set)))
    case .sequence(let nodes): for node in nodes { emit(node) }
    case .start: steps.append(.start)
    case .end: steps.append(.end)
    case .look(let isNegative, let node):
      let place = steps.count
      steps.append(.accept)
      emit(node)
      steps.append(.accept)
      steps[place] = .look(isNegative: isNegative, next: steps.count)
    case .choice(let nodes):
      var jumps: [Int] = []
      for (index, node) in nodes.enumerated() {
        let isLast = index == nodes.count - 1
        let place = steps.count
        if !isLast { steps.append(.accept) }
        emit(node)
        if isLast { continue }
        jumps.append(steps.count)
        steps.append(.accept)
        steps[place] = .split(place + 1, steps.count)
      }
      for jump in jumps { steps[jump] = .jump(steps.count) }
    case .repeated(.set(let set), let least, let most, let isPossessive):
      steps.append(.many(add(set), least: least, most: most, isPossessive: isPossessive))
    case .repeated(let node, let least, let most, _):
      for _ in 0..<least { emit(node) }
      if most == .max {
        let place = steps.count
        steps.append(.accept)
        emit(node)
        steps.append(.jump(place))
        steps[place] = .split(place + 1, steps.count)
      } else {
        var splits: [Int] = []
        for _ in least..<most {
          splits.append(steps.count)
          steps.append(.accept)
          emit(node)
        }
        for split in splits { steps[split] = .split(split + 1, steps.count) }
      }
    }
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

  /// Steps of one match beyond which a pattern is taken for one that never ends.
  private static let mostWork = 50_000_000

  init(_ pattern: TextPattern) { self.pattern = pattern }

  /// The end of the match that starts at a place; nil where there is none.
  mutating func match(_ text: [UInt8], at start: Int) throws(TextTokenizerError) -> Int? {
    stack.removeAll(keepingCapacity: true)
    work = 0
    return try run(text, step: 0, position: start)
  }

  private mutating func run(
    _ text: [UInt8],
    step: Int,
    position: Int
  ) throws(TextTokenizerError) -> Int? {
    let floor = stack.count
    var (step, position) = (step, position)
    while true {
      work += 1
      var isAlive = true
      switch pattern.steps[step] {
      case .accept:
        stack.removeSubrange(floor...)
        return position
      case .one(let set):
        if position < text.count {
          let (scalar, next) = UTF8Scalars.decode(text, position)
          isAlive = pattern.sets[set].contains(scalar)
          position = next
          step += 1
        } else {
          isAlive = false
        }
      case .many(let set, let least, let most, let isPossessive):
        if let low = consume(set, text, &position, least, most) {
          step += 1
          if !isPossessive, position > low, !isAccept(step) {
            stack.append(Choice(step: step, position: position, low: low))
          }
        } else {
          isAlive = false
        }
      case .split(let first, let second):
        stack.append(Choice(step: second, position: position, low: position))
        step = first
      case .jump(let target): step = target
      case .look(let isNegative, let next):
        isAlive = (try run(text, step: step + 1, position: position) != nil) != isNegative
        step = next
      case .start:
        isAlive = position == 0
        step += 1
      case .end:
        isAlive = position == text.count
        step += 1
      }
      guard work < Self.mostWork else {
        throw TextTokenizerError(source: "", reason: "a pattern that backtracks without end")
      }
      if !isAlive {
        guard stack.count > floor, let choice = stack.popLast() else { return nil }
        step = choice.step
        position = choice.position
        if choice.position > choice.low {
          position = UTF8Scalars.before(text, position)
          if position > choice.low {
            stack.append(Choice(step: step, position: position, low: choice.low))
          }
        }
      }
    }
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
