import TesseraCore

/// The text of a `config.json`: sorted keys, and numbers of the type that its reader insists on.
///
/// Hugging Face's configurations refuse `30` where they expect `30.0`.
struct SettingsText {
  /// The keys whose numbers are written with a fraction, as paths with dots.
  let fractions: Set<String>

  /// The text of an object.
  func text(_ object: [String: JSONValue]) -> String { write(.object(object), "", "") + "\n" }

  /// The same on one line.
  func line(_ object: [String: JSONValue]) -> String {
    text(object).split(separator: "\n").map { $0.drop { $0 == " " } }.joined(separator: " ")
  }

  private func write(_ value: JSONValue, _ path: String, _ indent: String) -> String {
    switch value {
    case .null: return "null"
    case .bool(let value): return "\(value)"
    case .number(let number):
      if !fractions.contains(path), let whole = Int(exactly: number) { return "\(whole)" }
      return "\(number)"
    case .string(let text): return quoted(text)
    case .array(let elements):
      return "[\(elements.map { write($0, path, indent) }.joined(separator: ", "))]"
    case .object(let members):
      let inner = indent + "  "
      let lines = members.sorted { $0.key < $1.key }.map { key, value in
        let place = path.isEmpty ? key : "\(path).\(key)"
        return "\(inner)\(quoted(key)): \(write(value, place, inner))"
      }
      return lines.isEmpty ? "{}" : "{\n\(lines.joined(separator: ",\n"))\n\(indent)}"
    }
  }

  private func quoted(_ text: String) -> String {
    guard let line = try? CanonicalJSON.line(JSONValue.string(text)) else { return "\"\"" }
    return String(decoding: line.dropLast(), as: UTF8.self)
  }
}
