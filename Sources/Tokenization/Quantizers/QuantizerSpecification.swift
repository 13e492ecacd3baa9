import Foundation

/// A quantizer as its JSON file names it, such as
/// `{"kind": "fsq", "variant": "atanh", "levels": [8, 5, 5, 5]}` (`schemas/quantizer.schema.json`).
///
/// Nothing has a default: codes from another variant are other codes, so the file names all of it.
public enum QuantizerSpecification: Codable, Hashable, Sendable {
  /// Finite scalar quantization.
  case finiteScalar(FiniteScalarQuantizer)

  /// The quantizer of a JSON file.
  ///
  /// - Parameter json: The file.
  /// - Throws: A `QuantizerError.setting` that names the field and what is known.
  public init(parsing json: [UInt8]) throws(QuantizerError) {
    do {
      self = try JSONDecoder().decode(QuantizerSpecification.self, from: Data(json))
    } catch let error as QuantizerError {
      throw error
    } catch {
      throw .setting("not a JSON object that names a quantizer")
    }
  }

  /// Reads `kind` and the fields that belong to it; any other field is an error.
  public init(from decoder: any Decoder) throws {
    let fields = Fields(values: try decoder.container(keyedBy: Fields.Name.self))
    let kind = try fields.decode(String.self, "kind", "a string")
    guard kind == "fsq" else {
      throw QuantizerError.setting("kind '\(kind)' is not known; known: fsq")
    }
    try fields.check(known: ["kind", "variant", "levels"])
    let name = try fields.decode(String.self, "variant", "a string")
    guard let variant = FiniteScalarQuantizer.Variant(rawValue: name) else {
      let known = FiniteScalarQuantizer.Variant.allCases.map(\.rawValue).joined(separator: " ")
      throw QuantizerError.setting("variant '\(name)' is not known; known: \(known)")
    }
    let levels = try fields.decode([Int].self, "levels", "a list of whole numbers")
    self = .finiteScalar(try FiniteScalarQuantizer(variant: variant, levels: levels))
  }

  /// Writes the JSON that ``init(from:)`` reads.
  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Fields.Name.self)
    switch self {
    case .finiteScalar(let quantizer):
      try fields.encode("fsq", forKey: Fields.Name("kind"))
      try fields.encode(quantizer.variant, forKey: Fields.Name("variant"))
      try fields.encode(quantizer.levels, forKey: Fields.Name("levels"))
    }
  }

  /// The fields of the object, read strictly.
  private struct Fields {
    let values: KeyedDecodingContainer<Name>

    func decode<Value: Decodable>(
      _ type: Value.Type,
      _ name: String,
      _ form: String
    ) throws(QuantizerError) -> Value {
      guard values.contains(Name(name)) else { throw .setting("field '\(name)' is missing") }
      do {
        return try values.decode(type, forKey: Name(name))
      } catch {
        throw .setting("field '\(name)' is not \(form)")
      }
    }

    func check(known: [String]) throws(QuantizerError) {
      let unknown = values.allKeys.map(\.stringValue).filter { !known.contains($0) }.min()
      guard let unknown else { return }
      throw .setting("field '\(unknown)' is not known; known: \(known.joined(separator: " "))")
    }

    /// A field by any name, so that unknown ones are seen.
    struct Name: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }

      init(_ name: String) { stringValue = name }
      init?(stringValue: String) { self.init(stringValue) }
      init?(intValue: Int) { nil }
    }
  }
}
