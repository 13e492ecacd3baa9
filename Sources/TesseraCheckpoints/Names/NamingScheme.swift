/// One line of a table: names in the file, and the names that the graphs use, in the notation of
/// ``NameTemplate/init(table:countsBack:)``.
package struct NameRule: Sendable {
  /// The name of the number of levels in both templates.
  static let levels = "L"

  let file: NameTemplate
  let canonical: NameTemplate
  /// The file's names with the numbers that count from the other end as they stand, and these numbers' names.
  let counted: NameTemplate
  let reversed: Set<String>

  init(_ file: String, _ canonical: String) {
    self.file = NameTemplate(table: file)
    self.canonical = NameTemplate(table: canonical)
    counted = NameTemplate(table: file, countsBack: false)
    reversed = Set(counted.kinds.keys).subtracting(self.file.kinds.keys)
  }

  /// The largest number of a matching name that counts from the other end, -1 where none does; nil where the
  /// name is another.
  func largestReversed(in name: String) -> Int? {
    counted.match(name).map { binding in
      reversed.compactMap { binding[$0].flatMap { Int($0) } }.filter { $0 < 10_000 }.max() ?? -1
    }
  }
}

/// One way to name the tensors of a family.
package struct NamingScheme: Sendable {
  /// What messages call it.
  package let name: String
  /// Names that tell the scheme, any of them.
  package let anchors: [String]
  /// The table; the first rule that matches counts, names without a rule stay.
  package let rules: [NameRule]

  package init(_ name: String, anchors: [String], _ rules: [(String, String)] = []) {
    (self.name, self.anchors) = (name, anchors)
    self.rules = rules.map { NameRule($0.0, $0.1) }
  }

  /// The number of levels, as far as names count from the other end; at least as many as the encoder's, whose
  /// names count from its first, so that a level lost at the end does not renumber the others.
  package func levels(of names: some Collection<String>) -> Int {
    let largest =
      names.map { name in
        rules.lazy.compactMap { $0.largestReversed(in: name) }.first ?? -1
      }.max() ?? -1
    let encoder = TensorNames(names.map { canonical($0, levels: largest + 1) })
    return max(largest + 1, encoder.count("encoder.down"))
  }

  /// The name that the graphs use.
  package func canonical(_ name: String, levels: Int) -> String {
    translated(name, levels, from: \.file, to: \.canonical)
  }

  /// The name in the file, for messages.
  package func fileName(_ canonical: String, levels: Int) -> String {
    translated(canonical, levels, from: \.canonical, to: \.file)
  }

  private func translated(
    _ name: String,
    _ levels: Int,
    from source: KeyPath<NameRule, NameTemplate>,
    to target: KeyPath<NameRule, NameTemplate>
  ) -> String {
    let counts = [NameRule.levels: levels]
    for rule in rules {
      guard let binding = rule[keyPath: source].match(name, counts) else { continue }
      return rule[keyPath: target].name(binding, counts) ?? name
    }
    return name
  }
}
