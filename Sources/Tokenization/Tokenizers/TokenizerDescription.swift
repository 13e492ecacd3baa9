import Foundation
public import Readers
internal import Tensors

/// What the weights of a tokenizer do not say: `schemas/tokenizer.schema.json`.
///
/// It stands in a JSON file beside the weights, or in the root attribute `tokenizer` of an HDF5 file.
public struct TokenizerDescription: Codable, Hashable, Sendable {
  /// The name that manifests record.
  public let name: String
  /// The family.
  public let family: TokenizerFamily
  /// The file of the weights, relative to the description; nil where the weights hold it themselves.
  public let checkpoint: String?
  /// How latents become codes.
  public let quantizer: QuantizerSpecification
  /// What the network sees of an image.
  public let preprocessing: Preprocessing

  /// Creates the description of a family's checkpoint.
  init(
    name: String,
    family: TokenizerFamily,
    quantizer: QuantizerSpecification,
    preprocessing: Preprocessing
  ) {
    self.name = name
    self.family = family
    checkpoint = nil
    self.quantizer = quantizer
    self.preprocessing = preprocessing
  }

  /// Reads a description from JSON.
  ///
  /// - Throws: ``TokenizerError`` that names the field at fault.
  init(parsing json: [UInt8], source: String) throws {
    do {
      self = try JSONDecoder().decode(TokenizerDescription.self, from: Data(json))
    } catch let error as DecodingError {
      throw TokenizerError(
        tokenizer: source,
        reason: "not a tokenizer's description: \(Self.reason(error))",
        kind: .malformedInput
      )
    }
  }

  private static func reason(_ error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, _): "the field '\(key.stringValue)' is missing"
    case .typeMismatch(_, let context), .valueNotFound(_, let context),
      .dataCorrupted(let context):
      context.codingPath.map(\.stringValue).joined(separator: ".") + " " + context.debugDescription
    @unknown default: "unreadable"
    }
  }
}
