package import TesseraCore

extension NameTemplate {
  /// The most combinations of a rule's alternatives.
  private static let mostCombinations = 1024

  /// The texts for each combination of alternatives: `{w:q|k}` on one side goes with `{w:query|key}`
  /// on the other, position by position.
  package static func alternatives(of sides: [[String]]) throws(TesseraError) -> [[[String]]] {
    guard let (name, counts) = try firstChoice(in: sides) else { return [sides] }
    var results: [[[String]]] = []
    for index in 0..<counts {
      let chosen = sides.map { side in
        side.map { replacing(name, in: $0, at: index) }
      }
      results += try alternatives(of: chosen)
      guard results.count <= mostCombinations else {
        throw TesseraError.malformed(
          "has more than \(mostCombinations) combinations of alternatives"
        )
      }
    }
    return results
  }

  private static func firstChoice(
    in sides: [[String]]
  ) throws(TesseraError) -> (String, Int)? {
    var found: (name: String, count: Int)?
    for text in sides.joined() {
      for (name, options) in choices(in: text) {
        if found == nil { found = (name, options.count) }
        guard let first = found, first.name == name else { continue }
        guard options.count <= mostCombinations else {
          throw TesseraError.malformed(
            "has more than \(mostCombinations) combinations of alternatives"
          )
        }
        guard first.count == options.count else {
          throw TesseraError.malformed(
            "'\(text)': {\(name):…} has another number of alternatives elsewhere"
          )
        }
      }
    }
    return found
  }

  private static func choices(in text: String) -> [(String, [String])] {
    text.split(separator: "{").dropFirst(text.hasPrefix("{") ? 0 : 1).compactMap { part in
      let inside = part.prefix { $0 != "}" }
      // Without its end it is no placeholder, which parsing the template says.
      guard inside.endIndex < part.endIndex, let colon = inside.firstIndex(of: ":") else {
        return nil
      }
      let options = inside[inside.index(after: colon)...].split(
        separator: "|",
        omittingEmptySubsequences: false
      )
      return options.count < 2 ? nil : (String(inside[..<colon]), options.map(String.init))
    }
  }

  private static func replacing(_ name: String, in text: String, at index: Int) -> String {
    var result = text
    for (found, options) in choices(in: text) where found == name {
      let placeholder = "{\(name):\(options.joined(separator: "|"))}"
      result = result.replacing(placeholder, with: options[index])
    }
    return result
  }
}
