/// Fields of a JSON object that somebody reads: a misspelled one would be a silent default.
package enum KnownFields {
  /// What is wrong with the names of an object's fields, of which the first unknown one is told; nil where all
  /// are known.
  package static func complaint(
    _ names: some Sequence<String>,
    known: some Collection<String>
  ) -> String? {
    names.filter { !known.contains($0) }.min().map {
      "the field '\($0)' is not known; known: \(known.joined(separator: " "))"
    }
  }

  /// A field by any name, so that unknown ones are seen.
  package struct Name: CodingKey {
    package let stringValue: String
    package var intValue: Int? { nil }

    package init(_ name: String) { stringValue = name }
    package init?(stringValue: String) { self.init(stringValue) }
    package init?(intValue: Int) { nil }
  }
}

extension Decoder {
  /// Refuses fields that nobody reads.
  ///
  /// - Throws: `DecodingError` that names the first of them.
  package func refuseFields(besides known: [String]) throws {
    let names = try container(keyedBy: KnownFields.Name.self).allKeys.map(\.stringValue)
    if let complaint = KnownFields.complaint(names, known: known) {
      throw DecodingError.dataCorrupted(.init(codingPath: codingPath, debugDescription: complaint))
    }
  }
}
