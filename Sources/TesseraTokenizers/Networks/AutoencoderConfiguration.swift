import TesseraCheckpoints
package import TesseraCore

/// The sizes of a convolutional autoencoder of the taming-transformers kind, read off its tensors.
///
/// Such a network needs no configuration file: widths, depths and the places of attention follow from the
/// names and shapes of its weights (`encoder.conv_in`, `encoder.down.i.block.j.conv1`, `encoder.mid.attn_1`,
/// `quant_conv`, `post_quant_conv`, `decoder.up.i.upsample.conv` ...). What does not follow is the
/// quantizer's rule, the pixels' range and, with it, whatever the user must name; nor what is in `Traits`,
/// in which families differ.
package struct AutoencoderConfiguration: Hashable, Sendable {
  /// One resolution of the encoder or the decoder.
  package struct Level: Hashable, Sendable {
    /// The channels that its residual blocks give.
    package var channels: Int
    /// The number of residual blocks.
    package var blocks: Int
    /// Whether an attention block follows each residual block.
    package var attends: Bool
    /// Whether the resolution changes after it: halved by the encoder, doubled by the decoder.
    package var resamples: Bool

    /// Creates a level.
    package init(channels: Int, blocks: Int, attends: Bool = false, resamples: Bool) {
      (self.channels, self.blocks, self.attends) = (channels, blocks, attends)
      self.resamples = resamples
    }
  }

  /// The encoder or the decoder.
  package struct Half: Hashable, Sendable {
    /// The channels on the side of the image, after the Haar transform: 3 for none.
    package var imageChannels = 3
    /// The channels that the encoder's `conv_out` gives, or the decoder's `conv_in` takes.
    package var latentChannels: Int
    /// The channels between the encoder's `conv_in` and its first level; unused by the decoder.
    package var baseChannels: Int
    /// The levels as the names count them: 0 is the finest resolution.
    package var levels: [Level]
    /// Whether attention stands between the two middle blocks.
    package var middleAttends = true
    /// The channels on the quantizer's side of `quant_conv` or `post_quant_conv`; nil where there is none.
    package var codeChannels: Int?
    /// The extent of the kernel of `quant_conv` or `post_quant_conv`: 1 or 3.
    package var codeKernel = 1
    /// The extent of the kernel of `conv_out`: 1 or 3.
    package var outputKernel = 3
    /// The residual blocks of the middle where there are only those; nil for two around an attention.
    package var middleBlocks: Int?
    /// The residual blocks over time that images pass (Emu3); nil without time.
    package var timeBlocks: Int?

    /// Creates a half for RGB images with attention in the middle, as most are.
    package init(latentChannels: Int, baseChannels: Int, levels: [Level], codeChannels: Int?) {
      (self.latentChannels, self.baseChannels, self.levels) = (latentChannels, baseChannels, levels)
      self.codeChannels = codeChannels
    }

    /// The extent of the Haar transform's blocks: 1, 2 or 4, for 3, 12 or 48 channels.
    package var patch: Int {
      switch imageChannels {
      case 12: 2
      case 48: 4
      default: 1
      }
    }
  }

  /// In what families differ that names and shapes do not say.
  package var traits: Traits
  /// The encoder; nil where the weights hold none.
  package var encoder: Half?
  /// The decoder; nil where the weights hold none.
  package var decoder: Half?

  /// Creates a configuration.
  package init(encoder: Half?, decoder: Half?, traits: Traits = .taming) {
    (self.traits, self.encoder, self.decoder) = (traits, encoder, decoder)
  }

  /// Reads the sizes off the shapes of the tensors.
  ///
  /// Names that belong to neither half, such as a codebook's, are not looked at.
  /// - Throws: `unrecognized` where there is neither an encoder nor a decoder, `incomplete` where a half lacks
  ///   a tensor that says its sizes. What else halves and levels lack, ``disagreements()`` tells.
  package init(
    shapes: [String: Shape],
    traits: Traits = .taming
  ) throws(TesseraError) {
    let inventory = Inventory(shapes: shapes, traits: traits)
    self.traits = traits
    encoder = try inventory.half("encoder", side: "down", code: "quant_conv")
    decoder = try inventory.half("decoder", side: "up", code: "post_quant_conv")
    guard encoder != nil || decoder != nil else {
      throw .unrecognized(name: "encoder.conv_in.weight", reason: "missing, as is decoder.conv_in")
    }
  }
}

/// The names and shapes of a checkpoint, asked for what they say of a network.
///
/// A part is there where any of its tensors is: what a part lacks is missed by name, not read as another
/// network.
private struct Inventory {
  let names: TensorNames
  let shapes: [String: Shape]
  let traits: AutoencoderConfiguration.Traits

  init(shapes: [String: Shape], traits: AutoencoderConfiguration.Traits) {
    names = TensorNames(shapes.keys)
    (self.shapes, self.traits) = (shapes, traits)
  }

  /// One half of the network, or nil where it has no tensor.
  func half(
    _ prefix: String,
    side: String,
    code: String
  ) throws(TesseraError) -> AutoencoderConfiguration.Half? {
    guard names.has(prefix) else { return nil }
    let first = try kernel("\(prefix).conv_in.weight")
    let last = try kernel("\(prefix).conv_out.weight")
    let isEncoder = side == "down"
    let hasCodes = traits.hasCodeConvolutions && names.has(code)
    let codes = hasCodes ? try kernel("\(code).weight") : nil
    let imageChannels = isEncoder ? first.input : last.output
    guard [3, 12, 48].contains(imageChannels) else {
      throw .unrecognized(
        name: isEncoder ? "\(prefix).conv_in.weight" : "\(prefix).conv_out.weight",
        reason: "\(imageChannels) channels are neither RGB (3) nor its Haar transform (12, 48)"
      )
    }
    var half = AutoencoderConfiguration.Half(
      latentChannels: isEncoder ? last.output : first.input,
      baseChannels: first.output,
      levels: try levels("\(prefix).\(side)", resampling: isEncoder ? "downsample" : "upsample"),
      codeChannels: codes.map { isEncoder ? $0.output : $0.input }
    )
    half.imageChannels = imageChannels
    half.middleAttends = attends("\(prefix).mid.attn_1")
    half.codeKernel = codes?.extent ?? 1
    half.outputKernel = last.extent
    half.middleBlocks = traits.middle == .blocks ? names.count("\(prefix).mid.block") : nil
    half.timeBlocks = traits.hasTime ? names.count("\(prefix).time_res") : nil
    return half
  }

  /// The levels under `prefix`, up to the last of which there is a tensor.
  private func levels(
    _ prefix: String,
    resampling: String
  ) throws(TesseraError) -> [AutoencoderConfiguration.Level] {
    var levels: [AutoencoderConfiguration.Level] = []
    let count = max(names.count(prefix), 1)
    for index in 0..<count {
      let level = "\(prefix).\(index)"
      // The mean of 2x2 positions has no weights to tell by.
      let averages = traits.downsampling == .average && resampling == "downsample"
      levels.append(
        AutoencoderConfiguration.Level(
          channels: try kernel("\(level).block.0.conv2.weight").output,
          blocks: names.count("\(level).block"),
          attends: attends("\(level).attn"),
          resamples: averages ? index < count - 1 : names.has("\(level).\(resampling)")
        )
      )
    }
    return levels
  }

  private func attends(_ name: String) -> Bool {
    traits.attention != .nowhere && names.has(name)
  }

  /// What a convolution's weight says: [out, in, extent, extent].
  private func kernel(
    _ name: String
  ) throws(TesseraError) -> (output: Int, input: Int, extent: Int) {
    guard let shape = shapes[name] else {
      throw .incomplete(name: name, reason: "its shape is what says the network's channels")
    }
    guard shape.rank == 4, shape[2] == shape[3], shape[2] == 1 || shape[2] == 3 else {
      throw .unrecognized(name: name, reason: "\(shape) is no 1x1 or 3x3 convolution")
    }
    // Names and shapes are anybody's: sizes are computed from these before a graph checks its channels.
    guard shape.dimensions.allSatisfy({ (1...1 << 16).contains($0) }) else {
      throw .unrecognized(name: name, reason: "\(shape): channels must be 1 ... 65536")
    }
    return (shape[0], shape[1], shape[2])
  }
}
