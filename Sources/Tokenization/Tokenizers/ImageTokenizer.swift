import Foundation
public import Readers
internal import Tensors

/// A preprocessing profile, a network and a quantizer: pictures to codes and back.
///
/// Immutable and shared by all tasks. The same picture gives the same codes for any number of tasks,
/// any order and any CPU.
public struct ImageTokenizer: Sendable {
  /// The name of the tokenizer that is part of the program.
  public static let embeddedName = "tessera-f8"

  /// What the tokenizer is: name, family, quantizer, preprocessing.
  public let description: TokenizerDescription
  /// The SHA-256 of the file of the weights, 64 hexadecimal digits.
  public let sha256: String
  /// The number of distinct codes: codes are 0 ..< vocabularySize.
  public let vocabularySize: Int
  /// How many pixels of a row or column one code stands for.
  public let stride: Int
  /// The encoder's network, for measurements.
  public let encoder: ConvolutionalNetwork
  /// The decoder's network, for measurements; nil where the file holds none.
  public let decoder: ConvolutionalNetwork?

  /// How latents become codes.
  public let quantizer: Quantizer

  private let encoders: WorkspacePool
  private let decoders: WorkspacePool?
  private let pixelValues: [Float]

  /// Opens a tokenizer.
  ///
  /// - Parameter tokenizer: `tessera-f8` (embedded), a JSON description
  ///   (`schemas/tokenizer.schema.json`), a folder with `tokenizer.json`, or a checkpoint that holds
  ///   its description in the attribute `tokenizer`.
  /// - Throws: ``TokenizerError``, ``NetworkError``, ``QuantizerError`` or a reader's error.
  public init(opening tokenizer: String = embeddedName) throws {
    let source = try TokenizerSource(tokenizer)
    description = source.description
    sha256 = source.sha256
    let weights = CheckpointWeights(source.checkpoint)
    quantizer = try Quantizer(description.quantizer, parameter: weights.floats)
    vocabularySize = quantizer.vocabularySize

    let tensors = source.checkpoint.tensors
    let shapes = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.shape) })
    let configuration = try AutoencoderConfiguration(shapes: shapes)
    try configuration.check(shapes: shapes)
    guard let graph = try configuration.encoderGraph() else {
      throw TokenizerError(tokenizer: tokenizer, reason: "the checkpoint holds no encoder")
    }
    guard graph.outputChannels == quantizer.dimensions else {
      throw TokenizerError(
        tokenizer: tokenizer,
        reason: "the network gives \(graph.outputChannels) latents a position, "
          + "the quantizer takes \(quantizer.dimensions)"
      )
    }
    encoder = try ConvolutionalNetwork(graph, parameter: weights.floats)
    decoder = try configuration.decoderGraph().map {
      try ConvolutionalNetwork($0, parameter: weights.floats)
    }
    stride = graph.inputMultiple
    let resting = 2 * ProcessInfo.processInfo.activeProcessorCount
    encoders = WorkspacePool(encoder, limit: resting)
    decoders = decoder.map { WorkspacePool($0, limit: resting) }
    pixelValues = description.preprocessing.range.table
  }

  /// Runs the encoder's network on a picture that went through the preprocessing.
  ///
  /// - Parameter image: Width and height are multiples of ``stride``.
  /// - Returns: The latents before quantization.
  /// - Throws: ``NetworkError`` where the size does not fit.
  public func latents(of image: RGBImage) throws -> LatentGrid {
    try encoders.withScratch(height: image.height, width: image.width) { scratch in
      for index in image.pixels.indices {
        scratch.input[index] = pixelValues[Int(image.pixels[index])]
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
  /// - Throws: ``QuantizerError`` where a latent is not a finite number.
  public func quantize(_ latents: LatentGrid) throws -> EncodedImage {
    let (grid, margins) = try quantizer.quantize(latents)
    return EncodedImage(grid: grid, latents: latents, margins: margins)
  }

  /// The codes of a picture that went through the preprocessing.
  ///
  /// - Throws: As ``latents(of:)`` and ``quantize(_:)``.
  public func encode(_ image: RGBImage) throws -> EncodedImage {
    try quantize(latents(of: image))
  }

  /// The picture that codes stand for.
  ///
  /// - Throws: ``QuantizerError`` for codes outside the vocabulary, ``TokenizerError`` where the
  ///   checkpoint holds no decoder.
  public func decode(_ grid: CodeGrid) throws -> RGBImage {
    guard let decoders else {
      throw TokenizerError(tokenizer: description.name, reason: "the checkpoint holds no decoder")
    }
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

/// The weights of a checkpoint as the network asks for them.
private struct CheckpointWeights {
  let checkpoint: any CheckpointReader
  let tensors: [String: TensorInfo]

  init(_ checkpoint: any CheckpointReader) {
    self.checkpoint = checkpoint
    tensors = Dictionary(uniqueKeysWithValues: checkpoint.tensors.map { ($0.name, $0) })
  }

  func floats(_ name: String) throws -> (shape: Shape, values: [Float])? {
    guard let info = tensors[name], let count = info.shape.elementCount,
      let size = info.elementType.byteCount(elements: count)
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: size)
    try unsafe bytes.withUnsafeMutableBytes { buffer in
      try unsafe checkpoint.read(0..<count, of: info, into: buffer)
    }
    let tensor = Tensor(elementType: info.elementType, shape: info.shape, bytes: bytes)
    return (info.shape, try tensor.floats())
  }
}

extension PixelRange {
  /// The bytes nearest to a decoder's values, half to even, cut off at 0 and 255.
  func bytes(of values: [Float]) -> [UInt8] {
    values.map { value in
      let scaled: Float =
        switch self {
        case .symmetric, .normalized, .doubled: (value + 1) * 127.5
        case .unit: value * 255
        case .logitLaplace: (value - 0.1) / 0.8 * 255
        }
      return UInt8(max(0, min(255, scaled.rounded(.toNearestOrEven))))
    }
  }
}
