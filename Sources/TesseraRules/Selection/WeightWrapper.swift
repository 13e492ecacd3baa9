import TesseraCore

/// The keys under which training scripts keep weights, as the beginnings of names.
enum WeightWrapper {
  /// What the trained weights are called, apart from averages.
  private static let modelNames: Set<String> = [
    "model", "state_dict", "model_state_dict", "model_state", "module", "net", "network", "params",
    "weights", "generator",
  ]

  /// The one prefix that a key, or the weights that are trained, means.
  static func prefix(
    for choice: TensorSelection.Choice,
    among names: [String]
  ) throws(TesseraError) -> String {
    if case .key(let key) = choice {
      let trimmed = key.last == "." || key.last == "/" ? String(key.dropLast()) : key
      guard names.contains(where: { rest(of: $0, under: trimmed) != nil }) else {
        let cause = "--pick \(key): nothing stands under this name"
        throw TesseraError.selection(cause, among: candidates(among: names))
      }
      return trimmed
    }
    var found: [String: Int] = [:]
    for name in names {
      let parts = parts(of: name)
      guard let depth = parts.dropLast().firstIndex(where: modelNames.contains) else { continue }
      found[prefix(of: name, parts: depth + 1)] = depth
    }
    let shallowest = found.values.min()
    let prefixes = found.filter { $0.value == shallowest }.keys.sorted()
    if prefixes.count == 1 { return prefixes[0] }
    if prefixes.isEmpty {
      let cause = "--pick model: no name says so"
      throw TesseraError.selection(cause, among: candidates(among: names))
    }
    throw TesseraError.selection(
      "--pick model is ambiguous: name one with --pick KEY",
      among: prefixes
    )
  }

  /// The name without the prefix and its separator; nil where it stands elsewhere.
  static func rest(of name: String, under prefix: String) -> String? {
    guard name.hasPrefix(prefix) else { return nil }
    let rest = name.dropFirst(prefix.count)
    guard let first = rest.first, first == "." || first == "/", rest.count > 1 else { return nil }
    return String(rest.dropFirst())
  }

  /// The first parts of the names, the most frequent ones first.
  static func candidates(among names: [String]) -> [String] {
    var counts: [String: Int] = [:]
    for name in names where parts(of: name).count > 1 {
      counts[prefix(of: name, parts: 1), default: 0] += 1
    }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key)
  }

  /// The parts of a name: dots and slashes separate them.
  static func parts(of name: String) -> [String] {
    name.split { $0 == "." || $0 == "/" }.map(String.init)
  }

  /// The beginning of a name that holds so many parts.
  static func prefix(of name: String, parts count: Int) -> String {
    var left = count
    return String(
      name.prefix { character in
        if character == "." || character == "/" { left -= 1 }
        return left > 0
      }
    )
  }
}
