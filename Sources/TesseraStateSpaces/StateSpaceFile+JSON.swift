import Foundation

extension StateSpaceFile {
  /// The file as JSON, `{"A": [[…]], …, "metadata": {…}}`: nested lists and the metadata.
  package var json: String {
    var members = arrays.map { name, array in
      (name, Self.list(array.values[...], array.storedShape[...]))
    }
    let strings = storedMetadata.filter { $0.key.hasPrefix("tessera.ssm.") }
      .sorted { $0.key < $1.key }
      .map {
        "\(Self.quoted(String($0.key.dropFirst("tessera.ssm.".count)))): \(Self.quoted($0.value))"
      }
    members.append(("metadata", "{\(strings.joined(separator: ", "))}"))
    let lines = members.sorted { $0.0 < $1.0 }.map { "  \(Self.quoted($0.0)): \($0.1)" }
    return "{\n\(lines.joined(separator: ",\n"))\n}\n"
  }

  /// Values as nested lists.
  private static func list(_ values: ArraySlice<Double>, _ shape: ArraySlice<Int>) -> String {
    guard let extent = shape.first else { return values.first.map { "\($0)" } ?? "null" }
    guard extent > 0 else { return "[]" }
    let size = values.count / extent
    let items = (0..<extent).map { index in
      let start = values.startIndex + index * size
      return list(values[start..<start + size], shape.dropFirst())
    }
    return "[\(items.joined(separator: ", "))]"
  }

  private static func quoted(_ text: String) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    guard let bytes = try? encoder.encode(text) else { return "null" }
    return String(decoding: bytes, as: UTF8.self)
  }
}
