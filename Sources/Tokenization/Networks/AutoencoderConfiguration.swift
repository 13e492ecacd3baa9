public import Tensors

/// The sizes of a convolutional autoencoder of the taming-transformers kind, read off its tensors.
///
/// Such a network needs no configuration file: widths, depths and the places of attention follow from the
/// names and shapes of its weights (`encoder.conv_in`, `encoder.down.i.block.j.conv1`, `encoder.mid.attn_1`,
/// `quant_conv`, `post_quant_conv`, `decoder.up.i.upsample.conv` ...). What does not follow is the
/// quantizer's rule, the pixels' range and, with it, whatever the user must name.
public struct AutoencoderConfiguration: Hashable, Sendable {
  /// One resolution of the encoder or the decoder.
  public struct Level: Hashable, Sendable {
    /// The channels that its residual blocks give.
    public var channels: Int
    /// The number of residual blocks.
    public var blocks: Int
    /// Whether an attention block follows each residual block.
    public var attends: Bool
    /// Whether the resolution changes after it: halved by the encoder, doubled by the decoder.
    public var resamples: Bool

    /// Creates a level.
    public init(channels: Int, blocks: Int, attends: Bool = false, resamples: Bool) {
      self.channels = channels
      self.blocks = blocks
      self.attends = attends
      self.resamples = resamples
    }
  }

  /// The encoder or the decoder.
  public struct Half: Hashable, Sendable {
    /// The channels on the side of the image, after the Haar transform: 3 for none.
    public var imageChannels: Int
    /// The channels that the encoder's `conv_out` gives, or the decoder's `conv_in` takes.
    public var latentChannels: Int
    /// The channels between the encoder's `conv_in` and its first level; unused by the decoder.
    public var baseChannels: Int
    /// The levels as the names count them: 0 is the finest resolution.
    public var levels: [Level]
    /// Whether attention stands between the two middle blocks.
    public var middleAttends: Bool
    /// The channels on the quantizer's side of `quant_conv` or `post_quant_conv`; nil where there is none.
    public var codeChannels: Int?
    /// The extent of the kernel of `quant_conv` or `post_quant_conv`: 1 or 3.
    public var codeKernel: Int

    /// Creates a half.
    public init(
      imageChannels: Int = 3,
      latentChannels: Int,
      baseChannels: Int,
      levels: [Level],
      middleAttends: Bool = true,
      codeChannels: Int?,
      codeKernel: Int = 1
    ) {
      self.imageChannels = imageChannels
      self.latentChannels = latentChannels
      self.baseChannels = baseChannels
      self.levels = levels
      self.middleAttends = middleAttends
      self.codeChannels = codeChannels
      self.codeKernel = codeKernel
    }

    /// The extent of the Haar transform's blocks: 1, 2 or 4, for 3, 12 or 48 channels.
    public var patch: Int {
      switch imageChannels {
      case 12: 2
      case 48: 4
      default: 1
      }
    }
  }

  /// The encoder; nil where the weights hold none.
  public var encoder: Half?
  /// The decoder; nil where the weights hold none.
  public var decoder: Half?

  /// Creates a configuration.
  public init(encoder: Half?, decoder: Half?) {
    self.encoder = encoder
    self.decoder = decoder
  }

  /// Reads the sizes off the shapes of the tensors.
  ///
  /// Names that belong to neither half, such as a codebook's, are not looked at.
  /// - Throws: `unrecognized` where there is neither an encoder nor a decoder, or a half is incomplete.
  public init(shapes: [String: Shape]) throws(NetworkError) {
    let inventory = Inventory(shapes: shapes)
    encoder = try inventory.half("encoder", side: "down", code: "quant_conv")
    decoder = try inventory.half("decoder", side: "up", code: "post_quant_conv")
    guard encoder != nil || decoder != nil else {
      throw .unrecognized(name: "encoder.conv_in.weight", reason: "missing, as is decoder.conv_in")
    }
  }

  /// Checks that the weights are those of both halves: nothing missing, nothing misshapen, nothing left.
  ///
  /// - Parameters:
  ///   - shapes: Every tensor of the checkpoint.
  ///   - others: Names that belong to other parts, such as the quantizer.
  /// - Throws: The first mismatch, in the order of the graphs and then of the names.
  public func check(
    shapes: [String: Shape],
    except others: Set<String> = []
  ) throws(NetworkError) {
    var left = shapes
    for graph in [try encoderGraph(), try decoderGraph()] {
      for parameter in graph?.parameters ?? [] {
        guard let shape = left.removeValue(forKey: parameter.name) else {
          throw .missingParameter(name: parameter.name, expected: parameter.shape)
        }
        guard shape == parameter.shape else {
          throw .misshapenParameter(name: parameter.name, shape: shape, expected: parameter.shape)
        }
      }
    }
    for (name, shape) in left.sorted(by: { $0.key < $1.key }) where !others.contains(name) {
      throw .unusedParameter(name: name, shape: shape)
    }
  }
}

/// The names and shapes of a checkpoint, asked for what they say of a network.
private struct Inventory {
  let shapes: [String: Shape]

  /// One half of the network, or nil where it has no `conv_in`.
  func half(
    _ prefix: String,
    side: String,
    code: String
  ) throws(NetworkError) -> AutoencoderConfiguration.Half? {
    guard shapes["\(prefix).conv_in.weight"] != nil else { return nil }
    let first = try kernel("\(prefix).conv_in.weight")
    let last = try kernel("\(prefix).conv_out.weight")
    let isEncoder = side == "down"
    let codes = shapes["\(code).weight"] == nil ? nil : try kernel("\(code).weight")
    let imageChannels = isEncoder ? first.input : last.output
    guard [3, 12, 48].contains(imageChannels) else {
      throw .unrecognized(
        name: isEncoder ? "\(prefix).conv_in.weight" : "\(prefix).conv_out.weight",
        reason: "\(imageChannels) channels are neither RGB (3) nor its Haar transform (12, 48)"
      )
    }
    return AutoencoderConfiguration.Half(
      imageChannels: imageChannels,
      latentChannels: isEncoder ? last.output : first.input,
      baseChannels: first.output,
      levels: try levels("\(prefix).\(side)", resampling: isEncoder ? "downsample" : "upsample"),
      middleAttends: shapes["\(prefix).mid.attn_1.norm.weight"] != nil,
      codeChannels: codes.map { isEncoder ? $0.output : $0.input },
      codeKernel: codes?.extent ?? 1
    )
  }

  /// The levels under `prefix`, counted as long as names are found.
  private func levels(
    _ prefix: String,
    resampling: String
  ) throws(NetworkError) -> [AutoencoderConfiguration.Level] {
    var levels: [AutoencoderConfiguration.Level] = []
    while shapes["\(prefix).\(levels.count).block.0.conv2.weight"] != nil {
      let level = "\(prefix).\(levels.count)"
      var blocks = 1
      while shapes["\(level).block.\(blocks).conv2.weight"] != nil { blocks += 1 }
      levels.append(
        AutoencoderConfiguration.Level(
          channels: try kernel("\(level).block.0.conv2.weight").output,
          blocks: blocks,
          attends: shapes["\(level).attn.0.norm.weight"] != nil,
          resamples: shapes["\(level).\(resampling).conv.weight"] != nil
        )
      )
    }
    guard !levels.isEmpty else {
      throw .unrecognized(name: "\(prefix).0.block.0.conv2.weight", reason: "missing")
    }
    return levels
  }

  /// What a convolution's weight says: [out, in, extent, extent].
  private func kernel(
    _ name: String
  ) throws(NetworkError) -> (output: Int, input: Int, extent: Int) {
    guard let shape = shapes[name] else { throw .unrecognized(name: name, reason: "missing") }
    guard shape.rank == 4, shape[2] == shape[3], shape[2] == 1 || shape[2] == 3 else {
      throw .unrecognized(name: name, reason: "\(shape) is no 1x1 or 3x3 convolution")
    }
    return (shape[0], shape[1], shape[2])
  }
}
