package import TesseraCore

/// What the placeholders of a template stand for in one name.
package typealias NameBinding = [String: String]

/// A tensor's name with typed placeholders, such as `blk.{L:int}.ssm_a`; it matches whole names.
package struct NameTemplate: Hashable, Sendable {
  /// What a placeholder stands for.
  package enum Kind: Hashable, Sendable {
    /// A number without leading zeros.
    case integer
    /// One or more parts, with dots between.
    case dotted
    /// One part without a dot.
    case word
    /// A number computed from a placeholder and counts, such as `{U-1-i}`.
    case computed(SizeExpression)
  }

  private enum Element: Hashable, Sendable {
    case literal(String)
    case placeholder(String, Kind)
  }

  /// The text it was made from.
  package let text: String
  private let elements: [Element]
  /// A name that the template matches, to find out whether others match it too.
  package let example: String
  /// Whether several placeholders may end at any dot, so that a place may be met more than once.
  private let isAmbiguous: Bool
  /// Whether no placeholder depends on another: then a rest that does not match never will, whatever
  /// stands before it.
  private let isPlain: Bool

  /// Parses a template without alternatives.
  ///
  /// - Parameters:
  ///   - text: The template.
  ///   - kinds: Placeholders whose kind another template states.
  /// - Throws: `TesseraError` where the braces or a placeholder are wrong.
  package init(parsing text: String, kinds: [String: Kind] = [:]) throws(TesseraError) {
    var elements: [Element] = []
    var rest = text[...]
    while let open = rest.firstIndex(of: "{") {
      let literal = rest[..<open]
      guard let close = rest[open...].firstIndex(of: "}") else {
        throw TesseraError.malformed("'\(text)' has '{' without '}'")
      }
      if !literal.isEmpty { elements.append(.literal(String(literal))) }
      let inside = rest[rest.index(after: open)..<close]
      elements.append(try NameTemplate.placeholder(inside, in: text, kinds))
      rest = rest[rest.index(after: close)...]
    }
    if rest.contains("}") { throw TesseraError.malformed("'\(text)' has '}' without '{'") }
    if !rest.isEmpty { elements.append(.literal(String(rest))) }
    guard !elements.isEmpty else { throw TesseraError.malformed("an empty name") }
    // Each may end at any dot: a match tries all combinations of these.
    guard elements.count <= 64, Self.dotted(elements) <= 3 else {
      throw TesseraError.malformed(
        "'\(text.prefix(64))' has more than 3 {…:dotted}, or more than 64 parts"
      )
    }
    self.init(text, elements)
  }

  private init(_ text: String, _ elements: [Element]) {
    (self.text, self.elements) = (text, elements)
    example = Self.example(of: elements)
    isPlain = Self.isPlain(elements)
    isAmbiguous = Self.dotted(elements) > 1
  }

  /// Reads the short notation of the tables in the program: `{i}` stands for a number, `{-i}` for a number that
  /// counts from the other end of `L` levels, `*` at the end for the rest of the name.
  ///
  /// - Parameters:
  ///   - text: The template.
  ///   - countsBack: False to bind `{-i}` to the number as it stands.
  init(table text: String, countsBack: Bool = true) {
    var elements: [Element] = []
    for (index, piece) in text.split(separator: "{", omittingEmptySubsequences: false).enumerated()
    {
      var literal = piece
      if index > 0, let close = piece.firstIndex(of: "}") {
        let name = piece[..<close].drop { $0 == "-" }
        let isReversed = countsBack && name.startIndex != piece.startIndex
        let last = SizeExpression.binary("-", .name(NameRule.levels), .number(1))
        elements.append(
          isReversed
            ? .placeholder("", .computed(.binary("-", last, .name(String(name)))))
            : .placeholder(String(name), .integer)
        )
        literal = piece[piece.index(after: close)...]
      }
      let hasRest = literal.last == "*"
      if hasRest { literal.removeLast() }
      if !literal.isEmpty { elements.append(.literal(String(literal))) }
      if hasRest { elements.append(.placeholder("*", .dotted)) }
    }
    self.init(text, elements)
  }

  private static func placeholder(
    _ inside: Substring,
    in text: String,
    _ kinds: [String: Kind]
  ) throws(TesseraError) -> Element {
    let parts = inside.split(separator: ":", omittingEmptySubsequences: false)
    let name = String(parts[0])
    if parts.count == 2 {
      switch parts[1] {
      case "int": return .placeholder(name, .integer)
      case "dotted": return .placeholder(name, .dotted)
      case "word": return .placeholder(name, .word)
      default:
        throw TesseraError.malformed(
          "'\(text)': a placeholder is {name:int}, {name:dotted}, {name:word}"
        )
      }
    }
    if let kind = kinds[name] { return .placeholder(name, kind) }
    return .placeholder(name, .computed(try SizeExpression(parsing: name)))
  }

  /// The placeholders that a name binds, with their kinds.
  package var kinds: [String: Kind] {
    var kinds: [String: Kind] = [:]
    for case .placeholder(let name, let kind) in elements {
      if case .computed = kind { continue }
      kinds[name] = kind
    }
    return kinds
  }

  /// All names that occur in placeholders, those inside of computed ones too.
  package var placeholders: Set<String> {
    var names: Set<String> = []
    for case .placeholder(let name, let kind) in elements {
      if case .computed(let expression) = kind {
        names.formUnion(expression.names)
      } else {
        names.insert(name)
      }
    }
    return names
  }

  private static func example(of elements: [Element]) -> String {
    elements.map { element in
      switch element {
      case .literal(let text): text
      case .placeholder(_, .integer), .placeholder(_, .computed): "0"
      case .placeholder(_, .dotted): "x.y"
      case .placeholder(_, .word): "x"
      }
    }.joined()
  }

  /// What the placeholders stand for, or nil where the name does not match.
  ///
  /// - Parameters:
  ///   - name: The whole name.
  ///   - counts: The values of names that computed placeholders use.
  /// - Returns: A text for each placeholder.
  package func match(_ name: String, _ counts: [String: Int] = [:]) -> NameBinding? {
    // Most names of a checkpoint fit no template: their ends tell.
    guard Self.begins(elements.first, name), Self.ends(elements.last, name) else { return nil }
    var search = Search(counts: counts, failed: isPlain && isAmbiguous ? [] : nil)
    return search.match(name[...], elements[...], [:])
  }

  private static func begins(_ first: Element?, _ name: String) -> Bool {
    guard case .literal(let text) = first else { return true }
    return name.utf8.starts(with: text.utf8)
  }

  private static func ends(_ last: Element?, _ name: String) -> Bool {
    guard case .literal(let text) = last else { return true }
    return name.utf8.reversed().starts(with: text.utf8.reversed())
  }

  /// Where the rest of a name met the rest of a template.
  private struct Place: Hashable {
    let index: String.Index
    let element: Int
  }

  private static func dotted(_ elements: [Element]) -> Int {
    elements.count { element in
      if case .placeholder(_, .dotted) = element { true } else { false }
    }
  }

  private static func isPlain(_ elements: [Element]) -> Bool {
    var seen: Set<String> = []
    return elements.allSatisfy { element in
      switch element {
      case .literal: true
      case .placeholder(_, .computed): false
      case .placeholder(let name, _): seen.insert(name).inserted
      }
    }
  }

  /// The search for what the placeholders stand for, a place of the name at a time.
  private struct Search {
    let counts: [String: Int]
    /// The places that were tried in vain, where they are kept.
    var failed: Set<Place>?

    /// Matches the rest of a name.
    mutating func match(
      _ name: Substring,
      _ elements: ArraySlice<Element>,
      _ binding: NameBinding
    ) -> NameBinding? {
      guard let first = elements.first else { return name.isEmpty ? binding : nil }
      let place = Place(index: name.startIndex, element: elements.startIndex)
      if failed?.contains(place) == true { return nil }
      let result = match(first, name, elements.dropFirst(), binding)
      if result == nil { failed?.insert(place) }
      return result
    }

    private mutating func match(
      _ first: Element,
      _ name: Substring,
      _ others: ArraySlice<Element>,
      _ binding: NameBinding
    ) -> NameBinding? {
      switch first {
      case .literal(let text):
        guard name.utf8.starts(with: text.utf8) else { return nil }
        return match(Substring(name.utf8.dropFirst(text.utf8.count)), others, binding)
      case .placeholder(let placeholder, let kind):
        for end in NameTemplate.ends(of: kind, in: name, isLast: others.isEmpty) {
          let value = String(name[..<end])
          guard let bound = NameTemplate.bind(placeholder, kind, value, binding, counts),
            let result = match(name[end...], others, bound)
          else { continue }
          return result
        }
        return nil
      }
    }
  }

  /// Where a placeholder's value may end, the longest first.
  private static func ends(of kind: Kind, in name: Substring, isLast: Bool) -> [String.Index] {
    let (text, dot) = (name.utf8, UInt8(ascii: "."))
    switch kind {
    case .integer, .computed:
      let digits = text.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      let isCanonical = digits.count == 1 || digits.first != UInt8(ascii: "0")
      return digits.isEmpty || !isCanonical || digits.count > 9 ? [] : [digits.endIndex]
    case .word:
      let word = text.prefix { $0 != dot }
      return word.isEmpty ? [] : [word.endIndex]
    case .dotted:
      let whole = name.isEmpty ? [] : [name.endIndex]
      if isLast { return whole }
      return whole + text.indices.reversed().filter { text[$0] == dot && $0 != name.startIndex }
    }
  }

  private static func bind(
    _ placeholder: String,
    _ kind: Kind,
    _ value: String,
    _ binding: NameBinding,
    _ counts: [String: Int]
  ) -> NameBinding? {
    var binding = binding
    guard case .computed(let expression) = kind else {
      if let earlier = binding[placeholder], earlier != value { return nil }
      binding[placeholder] = value
      return binding
    }
    let known = counts.merging(binding.compactMapValues { Int($0) }) { _, bound in bound }
    guard let number = Int(value) else { return nil }
    if let expected = expression.value(known) { return expected == number ? binding : nil }
    guard let (name, solution) = expression.solved(for: number, known), solution >= 0 else {
      return nil
    }
    binding[name] = "\(solution)"
    return binding
  }

  /// The name for what the placeholders stand for; nil where one is unknown.
  package func name(_ binding: NameBinding, _ counts: [String: Int] = [:]) -> String? {
    var name = ""
    for element in elements {
      switch element {
      case .literal(let text): name += text
      case .placeholder(_, .computed(let expression)):
        let known = counts.merging(binding.compactMapValues { Int($0) }) { _, bound in bound }
        guard let value = expression.value(known), value >= 0 else { return nil }
        name += "\(value)"
      case .placeholder(let placeholder, _):
        guard let value = binding[placeholder] else { return nil }
        name += value
      }
    }
    return name
  }
}
