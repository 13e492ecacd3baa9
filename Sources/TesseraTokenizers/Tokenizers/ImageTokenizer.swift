import Foundation
import TesseraCore
public import TesseraImages

/// A preprocessing profile, a network and a quantizer: pictures to codes and back.
///
/// Immutable and shared by all tasks. The same picture gives the same codes for any number of tasks,
/// any order and any CPU.
public struct ImageTokenizer: Sendable {
  /// The halves of a tokenizer: weights of a half that is not wanted are never read.
  public struct Halves: OptionSet, Sendable {
    /// One bit a half.
    public let rawValue: Int

    /// Creates a set.
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// Pictures to codes.
    public static let encoder = Halves(rawValue: 1)
    /// Codes to pictures.
    public static let decoder = Halves(rawValue: 2)
  }

  /// The name of the tokenizer that is part of the program.
  public static let embeddedName = "tessera-f8"

  /// What the tokenizer is: name, family, quantizer, preprocessing.
  public let description: TokenizerDescription
  /// The SHA-256 of the file of the weights, 64 hexadecimal digits; of an index and its shards, that of their
  /// digests, a line each.
  public let sha256: String
  /// The number of distinct codes: codes are 0 ..< vocabularySize.
  public let vocabularySize: Int
  /// How many pixels of a row or column one code stands for.
  public let stride: Int
  /// The halves that the file holds.
  public let halves: Halves
  /// The encoder's network, for measurements; nil where there is none or it was not wanted.
  package let encoder: ConvolutionalNetwork?
  /// The decoder's network, for measurements; nil where there is none or it was not wanted.
  package let decoder: ConvolutionalNetwork?
  /// How latents become codes.
  package let quantizer: Quantizer

  private let encoders: WorkspacePool?
  private let decoders: WorkspacePool?
  /// The values of each byte of red, green and blue.
  private let pixelValues: [[Float]]

  /// Opens a tokenizer.
  ///
  /// - Parameters:
  ///   - tokenizer: `tessera-f8` (embedded), `FAMILY:FILE` of a published family, a JSON description
  ///     (`schemas/tokenizer.schema.json`), a folder with `tokenizer.json`, or a checkpoint that holds its
  ///     description in the attribute `tokenizer`.
  ///   - halves: What it is opened for.
  /// - Throws: `TesseraError` or a reader's error.
  public init(
    opening tokenizer: String = embeddedName,
    for halves: Halves = [.encoder, .decoder]
  ) throws {
    let source = try TokenizerSource(tokenizer)
    let (model, weights) = (source.model, source.weights)
    description = source.description
    sha256 = source.sha256
    quantizer = try source.quantizer(of: tokenizer)
    vocabularySize = quantizer.vocabularySize
    try Self.check(model, quantizer, tokenizer)
    func network(_ half: Halves, _ graph: NetworkGraph?) throws -> ConvolutionalNetwork? {
      guard halves.contains(half), let graph else { return nil }
      return try ConvolutionalNetwork(graph, parameter: weights.floats)
    }
    encoder = try network(.encoder, model.encoder)
    decoder = try network(.decoder, model.decoder)
    self.halves = [model.encoder == nil ? [] : .encoder, model.decoder == nil ? [] : .decoder]
    stride =
      try model.encoder?.inputMultiple
      ?? model.decoder?.outputExtents(height: 1, width: 1).height ?? 1
    let resting = 2 * ProcessInfo.processInfo.activeProcessorCount
    encoders = encoder.map { WorkspacePool($0, limit: resting) }
    decoders = decoder.map { WorkspacePool($0, limit: resting) }
    let range = description.preprocessing.range
    pixelValues = (0..<3).map { range.table(channel: $0) }
  }

  /// A tokenizer's name whose path, where it has one, does not depend on the current folder.
  ///
  /// - Parameters:
  ///   - tokenizer: As ``init(opening:for:)`` takes it.
  ///   - folder: The current folder.
  /// - Returns: The name with an absolute path.
  public static func absoluteName(of tokenizer: String, in folder: String) -> String {
    if tokenizer == embeddedName { return tokenizer }
    if let colon = tokenizer.firstIndex(of: ":"),
      let name = tokenizer[..<colon].split(separator: "@").first,
      TokenizerFamily(rawValue: String(name)) != nil
    {
      let path = tokenizer[tokenizer.index(after: colon)...]
      return path.hasPrefix("/") ? tokenizer : "\(tokenizer[...colon])\(folder)/\(path)"
    }
    return tokenizer.hasPrefix("/") ? tokenizer : "\(folder)/\(tokenizer)"
  }

  /// Checks that networks and quantizer fit together.
  private static func check(
    _ model: FamilyModel,
    _ quantizer: Quantizer,
    _ tokenizer: String
  ) throws(TesseraError) {
    if let graph = model.encoder, graph.outputChannels != quantizer.dimensions {
      throw TesseraError.mismatch(
        "the network gives \(graph.outputChannels) latents per position, "
          + "the quantizer takes \(quantizer.dimensions)",
        file: tokenizer
      )
    }
    if let graph = model.decoder, graph.inputChannels != quantizer.valueDimensions {
      throw TesseraError.mismatch(
        "the quantizer gives \(quantizer.valueDimensions) values per position, "
          + "the decoder takes \(graph.inputChannels)",
        file: tokenizer
      )
    }
  }

  private func missing(_ half: String, _ halves: Halves) -> TesseraError {
    let reason =
      self.halves.contains(halves)
      ? "it was opened without its \(half)" : "the checkpoint holds no \(half)"
    return TesseraError.mismatch(reason, file: description.name)
  }

  /// Runs the encoder's network on a picture that went through the preprocessing.
  ///
  /// - Parameter image: Width and height are multiples of ``stride``.
  /// - Returns: The latents before quantization.
  /// - Throws: `TesseraError` where the size does not fit, or where the checkpoint holds no
  ///   encoder.
  package func latents(of image: RGBImage) throws -> LatentGrid {
    guard let encoders else { throw missing("encoder", .encoder) }
    return try encoders.withScratch(height: image.height, width: image.width) { scratch in
      for channel in 0..<3 {
        let table = pixelValues[channel]
        for index in Swift.stride(from: channel, to: image.pixels.count, by: 3) {
          scratch.input[index] = table[Int(image.pixels[index])]
        }
      }
      var values: [Float] = []
      try scratch.workspace.run(scratch.input, into: &values)
      return LatentGrid(
        height: scratch.workspace.outputHeight,
        width: scratch.workspace.outputWidth,
        values: values
      )
    }
  }

  /// Turns latents into codes.
  ///
  /// - Throws: `TesseraError` where a latent is not a finite number.
  package func quantize(_ latents: LatentGrid) throws -> EncodedImage {
    let (grid, margins) = try quantizer.quantize(latents)
    return EncodedImage(grid: grid, latents: latents, margins: margins)
  }

  /// Turns the latents of several views of one picture into codes [views, positions].
  ///
  /// One view keeps its own shape; the latents of several are those of the first.
  /// - Throws: `TesseraError` where a latent is not a finite number.
  package func quantize(views: [LatentGrid]) throws -> EncodedImage {
    let encoded = try views.map { try quantize($0) }
    guard let first = encoded.first else { throw missing("picture", []) }
    guard encoded.count > 1 else { return first }
    return EncodedImage(
      grid: CodeGrid(
        height: first.grid.height,
        width: first.grid.width,
        shape: [encoded.count, first.grid.codes.count],
        codes: encoded.flatMap(\.grid.codes)
      ),
      latents: first.latents,
      margins: encoded.flatMap(\.margins)
    )
  }

  /// The codes of a picture that went through the preprocessing.
  ///
  /// - Throws: `TesseraError` where the image does not fit the network, or numbers are beyond float32.
  public func encode(_ image: RGBImage) throws -> EncodedImage {
    try quantize(latents(of: image))
  }

  /// The picture that codes stand for.
  ///
  /// - Throws: `TesseraError` for codes outside the vocabulary, or where the
  ///   checkpoint holds no decoder.
  public func decode(_ grid: CodeGrid) throws -> RGBImage {
    guard let decoders else { throw missing("decoder", .decoder) }
    let values = try quantizer.values(of: grid)
    return try decoders.withScratch(height: grid.height, width: grid.width) { scratch in
      var output: [Float] = []
      try scratch.workspace.run(values, into: &output)
      return RGBImage(
        width: scratch.workspace.outputWidth,
        height: scratch.workspace.outputHeight,
        pixels: description.preprocessing.range.bytes(of: output)
      )
    }
  }
}
