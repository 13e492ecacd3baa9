extension Decoder {
  /// Refuses fields that nobody reads: a misspelled one would be a silent default.
  ///
  /// - Throws: `DecodingError` that names the first of them.
  package func refuseFields(besides known: [String]) throws {
    let names = try container(keyedBy: AnyField.self).allKeys.map(\.stringValue)
    if let unknown = names.filter({ !known.contains($0) }).min() {
      let words = "the field '\(unknown)' is not known; known: \(known.joined(separator: " "))"
      throw DecodingError.dataCorrupted(.init(codingPath: codingPath, debugDescription: words))
    }
  }
}

private struct AnyField: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}
