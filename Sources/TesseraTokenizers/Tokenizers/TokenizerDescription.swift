import Foundation
import TesseraCore
public import TesseraImages

/// What the weights of a tokenizer do not say: `schemas/tokenizer.schema.json`.
///
/// It stands in a JSON file beside the weights, or in the root attribute `tokenizer` of an HDF5 file.
public struct TokenizerDescription: Codable, Hashable, Sendable {
  /// The name that manifests record.
  public let name: String
  /// The family.
  public let family: TokenizerFamily
  /// The file of the weights, relative to the description; nil where the weights hold it themselves.
  public internal(set) var checkpoint: String?
  /// How latents become codes.
  package let quantizer: QuantizerSpecification
  /// What the network sees of an image.
  public let preprocessing: Preprocessing

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, family, checkpoint, quantizer, preprocessing
  }
}

extension TokenizerDescription {
  /// Reads a description; fields that are not known are errors.
  public init(from decoder: any Decoder) throws {
    try decoder.refuseFields(besides: CodingKeys.allCases.map(\.rawValue))
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    name = try fields.decode(String.self, forKey: .name)
    let word = try fields.decode(String.self, forKey: .family)
    guard let family = TokenizerFamily(rawValue: word) else {
      let known = TokenizerFamily.allCases.map(\.rawValue).joined(separator: " ")
      throw DecodingError.dataCorruptedError(
        forKey: .family,
        in: fields,
        debugDescription: "'\(word)' is no family; known: \(known)"
      )
    }
    self.family = family
    checkpoint = try fields.decodeIfPresent(String.self, forKey: .checkpoint)
    quantizer = try fields.decode(QuantizerSpecification.self, forKey: .quantizer)
    preprocessing = try fields.decode(Preprocessing.self, forKey: .preprocessing)
    try fields.superDecoder(forKey: .preprocessing).refuseFields(besides: Preprocessing.fields)
  }

  /// Reads a description from JSON.
  ///
  /// - Throws: `TesseraError` that names the field at fault.
  init(parsing json: [UInt8], source: String) throws(TesseraError) {
    func failure(_ reason: String, _ kind: FailureKind) -> TesseraError {
      TesseraError(kind, "not a tokenizer's description: \(reason)", file: source)
    }
    do {
      self = try JSONDecoder().decode(TokenizerDescription.self, from: Data(json))
    } catch let error as DecodingError {
      throw failure(ManifestFile.cause(of: error), .malformedInput)
    } catch let error as TesseraError {
      throw failure("\(error)", error.kind)
    } catch {
      throw failure("\(error)", .malformedInput)
    }
  }
}
