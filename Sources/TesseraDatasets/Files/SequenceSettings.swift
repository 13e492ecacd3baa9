package import TesseraCore

/// How samples became sequences: part of a dataset's settings.
public struct SequenceSettings: Codable, Hashable, Sendable {
  /// The layout as it was used, whatever it was named: `schemas/sequence.schema.json`.
  package var layout: JSONValue
  /// The SHA-256 of the text tokenizer's file; nil where no text is written.
  public var textTokenizer: String?
  /// The SHA-256 of the configuration with the vocabulary map; nil where none was named.
  public var vocabularyMap: String?
  /// How documents share rows: `none`, `concatenate`, `best-fit` or `fixed`.
  public var pack: String
  /// The most tokens of a row.
  public var length: Int?
  /// What comes first in a document of one image: `caption-first` or `image-first`.
  public var order: String
  /// The scheme of the position ids, counted anew in each document, or `none`.
  public var positions: String
  /// The SHA-256 of the file of documents; nil where each image is a document.
  public var documents: String?

  enum CodingKeys: String, CodingKey {
    case layout, pack, length, order, positions, documents
    case textTokenizer = "text_tokenizer"
    case vocabularyMap = "vocabulary_map"
  }

  /// Creates settings.
  ///
  /// - Throws: Where `layout` has no JSON form.
  public init(
    layout: some Encodable,
    textTokenizer: String?,
    vocabularyMap: String? = nil,
    pack: String,
    length: Int?,
    order: String,
    positions: String,
    documents: String?
  ) throws {
    self.layout = try JSONValue(encoding: layout)
    (self.textTokenizer, self.vocabularyMap, self.pack) = (textTokenizer, vocabularyMap, pack)
    (self.length, self.order, self.positions) = (length, order, positions)
    self.documents = documents
  }

  /// The layout as the type that applies it.
  ///
  /// - Throws: `TesseraError` that names the field at fault.
  public func layout<Value: Decodable>(as type: Value.Type) throws -> Value {
    let line = try CanonicalJSON.line(layout)
    return try ManifestFile.decode(type, from: line, of: "the plan's sequence layout")
  }
}
