/// The names of some tensors, part by part between dots.
///
/// `{i}` stands for a number, which may follow letters as in `group_{i}`; `{-i}` for a number that counts
/// from the other end; `*` at the end for the rest of the name.
package struct NamePattern: Sendable {
  private enum Part: Sendable {
    case literal(Substring)
    case number(prefix: Substring, variable: Substring, isReversed: Bool)
    case rest
  }

  private let parts: [Part]

  /// Reads a pattern of the tables.
  package init(_ text: String) {
    parts = text.split(separator: ".", omittingEmptySubsequences: false).map { part in
      if part == "*" { return .rest }
      guard let open = part.firstIndex(of: "{"), part.last == "}" else { return .literal(part) }
      let variable = part[part.index(after: open)...].dropLast()
      let isReversed = variable.first == "-"
      return .number(
        prefix: part[..<open],
        variable: isReversed ? variable.dropFirst() : variable,
        isReversed: isReversed
      )
    }
  }

  /// What the variables of a matching name stand for; numbers that count from the other end as they are.
  package struct Match {
    fileprivate var numbers: [Substring: Int] = [:]
    fileprivate var reversed: [Substring: Int] = [:]
    fileprivate var rest: [Substring] = []

    /// The largest number that counts from the other end.
    package var largestReversed: Int? { reversed.values.max() }
  }

  /// Matches a name, cut at its dots.
  package func match(_ name: [Substring]) -> Match? {
    var match = Match()
    for (index, part) in parts.enumerated() {
      if case .rest = part {
        guard index < name.count else { return nil }
        match.rest = Array(name[index...])
        return match
      }
      guard index < name.count else { return nil }
      switch part {
      case .literal(let text): guard name[index] == text else { return nil }
      case .number(let prefix, let variable, let isReversed):
        let digits = name[index].dropFirst(prefix.count)
        // No leading zeros: a name must come back as it was.
        guard name[index].hasPrefix(prefix), digits.count < 5, let number = Int(digits),
          number >= 0, String(number) == digits
        else { return nil }
        if isReversed {
          match.reversed[variable] = number
        } else {
          match.numbers[variable] = number
        }
      case .rest: break
      }
    }
    return parts.count == name.count ? match : nil
  }

  /// The name for what another pattern's variables stand for.
  ///
  /// - Parameters:
  ///   - match: The variables.
  ///   - levels: The number of levels, for numbers that count from the other end on either side.
  /// - Returns: The name.
  package func name(for match: Match, levels: Int) -> String {
    let texts = parts.flatMap { part -> [Substring] in
      switch part {
      case .literal(let text): return [text]
      case .number(let prefix, let variable, let isReversed):
        let number =
          if isReversed {
            match.numbers[variable].map { levels - 1 - $0 } ?? match.reversed[variable] ?? 0
          } else {
            match.numbers[variable] ?? levels - 1 - (match.reversed[variable] ?? 0)
          }
        return [prefix + "\(number)"]
      case .rest: return match.rest
      }
    }
    return texts.joined(separator: ".")
  }
}

/// One line of a table: names in the file, and the names that the graphs use.
package struct NameRule: Sendable {
  let file: NamePattern
  let canonical: NamePattern

  init(_ file: String, _ canonical: String) {
    self.file = NamePattern(file)
    self.canonical = NamePattern(canonical)
  }
}

/// One way to spell the names of a family's tensors.
package struct Spelling: Sendable {
  /// What messages call it.
  package let name: String
  /// Names that tell the spelling, any of them.
  package let anchors: [String]
  /// The table; the first rule that matches counts, names without a rule stay.
  package let rules: [NameRule]

  package init(_ name: String, anchors: [String], _ rules: [(String, String)] = []) {
    self.name = name
    self.anchors = anchors
    self.rules = rules.map { NameRule($0.0, $0.1) }
  }

  /// The number of levels, as far as names count from the other end; at least as many as the encoder's, whose
  /// names count from its first, so that a level lost at the end does not renumber the others.
  package func levels(of names: some Collection<String>) -> Int {
    var largest = -1
    for name in names {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      for rule in rules {
        guard let match = rule.file.match(parts) else { continue }
        largest = max(largest, match.largestReversed ?? -1)
        break
      }
    }
    guard largest >= 0 else { return 0 }
    let encoder = TensorNames(names.map { canonical($0, levels: largest + 1) })
    return max(largest + 1, encoder.count("encoder.down"))
  }

  /// The name that the graphs use.
  package func canonical(_ name: String, levels: Int) -> String {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    for rule in rules {
      if let match = rule.file.match(parts) {
        return rule.canonical.name(for: match, levels: levels)
      }
    }
    return name
  }

  /// The name in the file, for messages.
  package func fileName(_ canonical: String, levels: Int) -> String {
    let parts = canonical.split(separator: ".", omittingEmptySubsequences: false)
    for rule in rules {
      if let match = rule.canonical.match(parts) {
        return rule.file.name(for: match, levels: levels)
      }
    }
    return canonical
  }
}
