package import TesseraCore
import TesseraImages

/// What a tokenizer's encoder is made of, for whoever writes it down elsewhere: graph, weights, quantizer.
package struct TokenizerParts: Sendable {
  /// Name, family, quantizer, preprocessing.
  package let description: TokenizerDescription
  /// The SHA-256 of the file of the weights.
  package let sha256: String
  /// The layers from pixels, in the range of the preprocessing, to latents.
  package let encoder: NetworkGraph
  /// How latents become codes.
  package let quantizer: Quantizer
  /// The quantizer as JSON names it.
  package let specification: QuantizerSpecification
  private let weights: FamilyWeights

  /// Opens a tokenizer, as ``ImageTokenizer`` does; weights are read when they are asked for.
  ///
  /// - Parameter tokenizer: A name, a file or a folder.
  /// - Throws: `TesseraError` or a reader's error.
  package init(opening tokenizer: String) throws {
    let source = try TokenizerSource(tokenizer)
    guard let encoder = source.model.encoder else {
      throw TesseraError.mismatch("the checkpoint holds no encoder", file: tokenizer)
    }
    self.encoder = encoder
    description = source.description
    sha256 = source.sha256
    weights = source.weights
    specification = source.model.quantizer
    quantizer = try source.quantizer(of: tokenizer)
  }

  /// The float32 that each byte of a channel becomes.
  package func pixelTable(channel: Int) -> [Float] {
    description.preprocessing.range.table(channel: channel)
  }

  /// A weight of the graph as float32, row-major; nil where there is none of that name.
  package func parameter(_ name: String) throws -> (shape: Shape, values: [Float])? {
    try weights.floats(name)
  }
}
