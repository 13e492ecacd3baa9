import TesseraCore

/// Reads the spelling of a pattern.
struct TextPatternParser {
  indirect enum Node {
    case set(TextPattern.Scalars)
    case sequence([Node])
    case choice([Node])
    case repeated(Node, least: Int, most: Int, isPossessive: Bool)
    case look(isNegative: Bool, Node)
    case start, end
  }

  private let pattern: String
  private let scalars: [Unicode.Scalar]
  private var position = 0
  private var ignoresCase = false
  private var depth = 0

  init(_ pattern: String) {
    self.pattern = pattern
    scalars = Array(pattern.unicodeScalars)
  }

  mutating func parse() throws(TesseraError) -> Node {
    let node = try choice()
    guard position == scalars.count else { throw unknown("')'") }
    return node
  }

  private func unknown(_ part: String) -> TesseraError {
    .unsupported("\(part) in the pattern \(pattern)")
  }

  private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  private mutating func take(_ text: String) -> Bool {
    let wanted = Array(text.unicodeScalars)
    guard scalars[position...].starts(with: wanted) else { return false }
    position += wanted.count
    return true
  }

  private mutating func choice() throws(TesseraError) -> Node {
    depth += 1
    defer { depth -= 1 }
    guard depth < 50 else { throw unknown("so deep a nesting") }
    var nodes = [try sequence()]
    while take("|") { nodes.append(try sequence()) }
    return nodes.count == 1 ? nodes[0] : .choice(nodes)
  }

  private mutating func sequence() throws(TesseraError) -> Node {
    var nodes: [Node] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      nodes.append(try quantified(try atom()))
    }
    return .sequence(nodes)
  }

  private mutating func quantified(_ node: Node) throws(TesseraError) -> Node {
    var (least, most): (Int, Int)
    if take("*") {
      (least, most) = (0, .max)
    } else if take("+") {
      (least, most) = (1, .max)
    } else if take("?") {
      (least, most) = (0, 1)
    } else if next == "{" {
      (least, most) = try counts()
    } else {
      return node
    }
    if case .start = node { throw unknown("a repeated '^'") }
    let isCounted = scalars[position - 1] == "}"
    let isPossessive = take("+")
    if isPossessive {
      // In Ruby's patterns this repeats the repetition.
      guard !isCounted else { throw unknown("'}+'") }
      guard case .set = node else { throw unknown("a possessive group") }
    }
    if next == "?" { throw unknown("lazy repetition") }
    return .repeated(node, least: least, most: most, isPossessive: isPossessive)
  }

  private mutating func counts() throws(TesseraError) -> (Int, Int) {
    guard let close = scalars[position...].firstIndex(of: "}") else { throw unknown("'{'") }
    let text = String(String.UnicodeScalarView(scalars[position + 1..<close]))
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let least = parts[0].isEmpty ? 0 : Int(parts[0])
    let most = parts.count == 1 ? least : parts[1].isEmpty ? Int.max : Int(parts[1])
    guard parts.count <= 2, let least, let most, (0...1000).contains(least), least <= most,
      most == .max || most <= 1000
    else { throw unknown("'{\(text)}'") }
    position = close + 1
    return (least, most)
  }

  private mutating func atom() throws(TesseraError) -> Node {
    guard let scalar = next else { throw unknown("an early end") }
    switch scalar {
    case "(": return try group()
    case "[": return .set(try bracket())
    case "^":
      position += 1
      return .start
    case "$":
      position += 1
      return .end
    case ".":
      position += 1
      var set = TextPattern.Scalars()
      set.ranges = [0x0A...0x0A]
      set.isNegated = true
      set.close()
      return .set(set)
    case "*", "+", "?", "{": throw unknown("'\(scalar)' behind nothing")
    case "\\":
      var set = TextPattern.Scalars()
      try escape(into: &set)
      set.close()
      return .set(set)
    default:
      try checkFolding(scalar)
      position += 1
      var set = TextPattern.Scalars()
      try add(scalar.value...scalar.value, to: &set)
      set.close()
      return .set(set)
    }
  }

  private mutating func group() throws(TesseraError) -> Node {
    let outer = ignoresCase
    defer { ignoresCase = outer }
    var look: Bool?
    if take("(?:") {
    } else if take("(?i:") {
      ignoresCase = true
    } else if take("(?!") {
      look = true
    } else if take("(?=") {
      look = false
    } else if scalars[position...].starts(with: "(?".unicodeScalars) {
      throw unknown("'(?\(position + 2 < scalars.count ? String(scalars[position + 2]) : "")'")
    } else {
      _ = take("(")
    }
    let node = try choice()
    guard take(")") else { throw unknown("a group without end") }
    return look.map { .look(isNegative: $0, node) } ?? node
  }

  private mutating func bracket() throws(TesseraError) -> TextPattern.Scalars {
    var set = TextPattern.Scalars()
    position += 1
    set.isNegated = take("^")
    var isFirst = true
    while let scalar = next, scalar != "]" || isFirst {
      isFirst = false
      if scalar == "[" || scalar == "&" && scalars[position...].starts(with: "&&".unicodeScalars) {
        throw unknown("a class inside a class")
      }
      if scalar == "\\", !isPlainEscape {
        try escape(into: &set)
        continue
      }
      let low = try single()
      var high = low
      if next == "-", position + 1 < scalars.count, scalars[position + 1] != "]" {
        position += 1
        high = try single()
      }
      guard low <= high else { throw unknown("a range from high to low") }
      try add(low...high, to: &set)
    }
    guard take("]") else { throw unknown("a class without end") }
    set.close()
    return set
  }

  /// Whether the escape here stands for one scalar.
  private var isPlainEscape: Bool {
    position + 1 < scalars.count && !"pPsSwWdDxu".unicodeScalars.contains(scalars[position + 1])
      || position + 1 < scalars.count && "xu".unicodeScalars.contains(scalars[position + 1])
  }

  /// One scalar of a class, which may be written as an escape.
  private mutating func single() throws(TesseraError) -> UInt32 {
    guard let scalar = next else { throw unknown("a class without end") }
    position += 1
    guard scalar == "\\" else { return scalar.value }
    guard let escaped = next else { throw unknown("'\\' at the end") }
    position += 1
    switch escaped {
    case "n": return 0x0A
    case "r": return 0x0D
    case "t": return 0x09
    case "f": return 0x0C
    case "v": return 0x0B
    case "x", "u": return try hexadecimal(escaped == "x" ? 2 : 4)
    default:
      guard !escaped.properties.isAlphabetic, escaped.properties.numericType == nil else {
        throw unknown("'\\\(escaped)'")
      }
      return escaped.value
    }
  }

  private mutating func hexadecimal(_ digits: Int) throws(TesseraError) -> UInt32 {
    var text = ""
    if take("{") {
      while let scalar = next, scalar != "}" {
        text.unicodeScalars.append(scalar)
        position += 1
      }
      _ = take("}")
    } else {
      text = String(String.UnicodeScalarView(scalars[position...].prefix(digits)))
      position += text.unicodeScalars.count
    }
    guard let value = UInt32(text, radix: 16), value <= 0x10FFFF else {
      throw unknown("'\\x\(text)'")
    }
    return value
  }

  private mutating func escape(into set: inout TextPattern.Scalars) throws(TesseraError) {
    guard position + 1 < scalars.count else { throw unknown("'\\' at the end") }
    let kind = scalars[position + 1]
    var inner = TextPattern.Scalars()
    switch kind {
    case "p", "P":
      position += 2
      inner.categories = try categories()
    case "s", "S": inner.hasSpace = true
    case "w", "W": inner.hasWord = true
    case "d", "D": inner.categories = ScalarClass.categories(named: "Nd") ?? 0
    default:
      let scalar = try single()
      try add(scalar...scalar, to: &set)
      return
    }
    if kind != "p", kind != "P" { position += 2 }
    if "PSWD".unicodeScalars.contains(kind) {
      set.complements.append(inner)
    } else {
      set.categories |= inner.categories
      set.hasSpace = set.hasSpace || inner.hasSpace
      set.hasWord = set.hasWord || inner.hasWord
    }
  }

  private mutating func categories() throws(TesseraError) -> UInt32 {
    var name = ""
    if take("{") {
      while let scalar = next, scalar != "}" {
        name.unicodeScalars.append(scalar)
        position += 1
      }
      guard take("}") else { throw unknown("'\\p{\(name)'") }
    } else if let scalar = next {
      name.unicodeScalars.append(scalar)
      position += 1
    }
    guard let mask = ScalarClass.categories(named: name) else { throw unknown("'\\p{\(name)}'") }
    return mask
  }

  /// Refuses pairs of letters that match one letter, such as `ß`, where case is ignored.
  private func checkFolding(_ scalar: Unicode.Scalar) throws(TesseraError) {
    guard ignoresCase, position + 1 < scalars.count else { return }
    let pair = "\(scalar)\(scalars[position + 1])".lowercased()
    if ["ff", "fi", "fl", "ss", "st"].contains(pair) { throw unknown("'\(pair)' in any case") }
  }

  /// Adds a range, with the other case of its letters where case is ignored.
  private func add(
    _ range: ClosedRange<UInt32>,
    to set: inout TextPattern.Scalars
  ) throws(TesseraError) {
    set.ranges.append(range)
    guard ignoresCase else { return }
    guard range.upperBound < 0x80 else { throw unknown("a letter beyond ASCII in any case") }
    for code in range.clamped(to: 0x41...0x7A)
    where range.contains(code) && (0x41...0x5A).contains(code & ~0x20) {
      set.ranges.append(code ^ 0x20...code ^ 0x20)
      // The two letters outside ASCII that fold to one inside.
      if code | 0x20 == 0x73 { set.ranges.append(0x17F...0x17F) }
      if code | 0x20 == 0x6B { set.ranges.append(0x212A...0x212A) }
    }
  }
}
