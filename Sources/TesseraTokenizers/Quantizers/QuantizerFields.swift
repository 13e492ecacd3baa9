import TesseraCore

/// The fields of a quantizer's JSON object, read strictly.
struct QuantizerFields {
  private let values: KeyedDecodingContainer<KnownFields.Name>

  init(_ decoder: any Decoder) throws {
    values = try decoder.container(keyedBy: KnownFields.Name.self)
  }

  /// Whether there is a field of that name.
  func has(_ name: String) -> Bool { values.contains(KnownFields.Name(name)) }

  /// A field that must be there.
  func decode<Value: Decodable>(
    _ type: Value.Type,
    _ name: String,
    _ form: String
  ) throws(TesseraError) -> Value {
    guard has(name) else { throw .mismatch("field '\(name)' is missing") }
    do {
      return try values.decode(type, forKey: KnownFields.Name(name))
    } catch let error as TesseraError {
      throw error
    } catch {
      throw .mismatch("field '\(name)' is not \(form)")
    }
  }

  /// A field that may be left out.
  func decodeIfPresent<Value: Decodable>(
    _ type: Value.Type,
    _ name: String,
    _ form: String
  ) throws(TesseraError) -> Value? {
    has(name) ? try decode(type, name, form) : nil
  }

  /// A field that is one of a few words.
  func choice<Value: RawRepresentable<String> & CaseIterable>(
    _ type: Value.Type,
    _ name: String
  ) throws(TesseraError) -> Value {
    let word = try decode(String.self, name, "a string")
    guard let value = Value(rawValue: word) else {
      let known = Value.allCases.map(\.rawValue).joined(separator: " ")
      throw .mismatch("\(name) '\(word)' is not known; known: \(known)")
    }
    return value
  }

  /// A list of quantizers, none of which is of whole images.
  func quantizers(_ name: String) throws(TesseraError) -> [QuantizerSpecification] {
    let parts = try decode([QuantizerSpecification].self, name, "a list of quantizers")
    guard (1...1024).contains(parts.count) else {
      throw .mismatch("\(name): \(parts.count) of them, and 1 to 1024 are possible")
    }
    for case .multiScale in parts {
      throw .mismatch("\(name): a quantizer of whole images cannot be one of several")
    }
    return parts
  }

  /// Refuses fields that no one reads.
  func check(known: [String]) throws(TesseraError) {
    if let complaint = KnownFields.complaint(values.allKeys.map(\.stringValue), known: known) {
      throw .mismatch(complaint)
    }
  }
}
