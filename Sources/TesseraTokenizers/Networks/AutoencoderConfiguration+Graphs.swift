package import TesseraCore

extension AutoencoderConfiguration {
  /// The encoder's layers, from the image to what the quantizer takes; nil where there is no encoder.
  ///
  /// Haar transform, `conv_in`, the levels from fine to coarse, the middle, `norm_out`, SiLU, `conv_out`,
  /// convolutions over time, `quant_conv`.
  /// - Throws: `invalidGraph` where the sizes do not fit together.
  package func encoderGraph() throws(TesseraError) -> NetworkGraph? {
    guard let encoder else { return nil }
    let blocks = AutoencoderBlocks(traits: traits, condition: nil)
    var channels = encoder.baseChannels
    var layers: [NetworkLayer] = [
      .convolution(
        Convolution(
          "encoder.conv_in",
          encoder.imageChannels,
          channels,
          .same,
          hasBias: traits.hasBiases
        )
      )
    ]
    for (index, level) in encoder.levels.enumerated() {
      layers += blocks.level("encoder.down.\(index)", level, &channels)
      if level.resamples {
        layers.append(blocks.downsampling("encoder.down.\(index).downsample.conv", channels))
      }
    }
    layers += blocks.middle("encoder.mid", channels, of: encoder)
    layers.append(blocks.normalization("encoder.norm_out", channels))
    let output: Convolution.Geometry = encoder.outputKernel == 1 ? .pointwise : .same
    let latents = encoder.latentChannels
    layers.append(.convolution(Convolution("encoder.conv_out", channels, latents, output)))
    if let timeBlocks = encoder.timeBlocks {
      layers += AutoencoderBlocks.encoderTime(latents, blocks: timeBlocks)
    }
    if let codes = encoder.codeChannels {
      let geometry: Convolution.Geometry = encoder.codeKernel == 1 ? .pointwise : .same
      layers.append(.convolution(Convolution("quant_conv", latents, codes, geometry)))
    }
    return try NetworkGraph(inputChannels: 3, inputPatch: encoder.patch, layers: layers)
  }

  /// The decoder's layers, from the quantizer's values to the image; nil where there is no decoder.
  ///
  /// What normalizations depend on, `post_quant_conv`, convolutions over time, `conv_in`, the middle, the
  /// levels from coarse to fine, `norm_out`, SiLU, `conv_out`, inverse Haar transform.
  /// - Throws: `invalidGraph` where the sizes do not fit together.
  package func decoderGraph() throws(TesseraError) -> NetworkGraph? {
    guard let decoder, var channels = decoder.levels.last?.channels else { return nil }
    let latents = decoder.latentChannels
    let codes = decoder.codeChannels ?? latents
    let condition = traits.conditioning == .adaptive ? latents : codes
    let blocks = AutoencoderBlocks(traits: traits, condition: condition)
    let time = decoder.timeBlocks.map { AutoencoderBlocks.decoderTime(latents, blocks: $0) } ?? []
    var layers: [NetworkLayer] = traits.conditioning == .spatial ? [.condition(time)] : []
    if decoder.codeChannels != nil {
      let geometry: Convolution.Geometry = decoder.codeKernel == 1 ? .pointwise : .same
      layers.append(.convolution(Convolution("post_quant_conv", codes, latents, geometry)))
    }
    layers += time
    if traits.conditioning == .adaptive { layers.append(.condition([])) }
    layers.append(.convolution(Convolution("decoder.conv_in", latents, channels, .same)))
    layers += blocks.middle("decoder.mid", channels, of: decoder)
    for (index, level) in decoder.levels.enumerated().reversed() {
      if traits.conditioning == .adaptive {
        layers.append(blocks.adaptive("decoder.up.\(index).adaptive", channels))
      }
      layers += blocks.level("decoder.up.\(index)", level, &channels)
      if level.resamples {
        let name = "decoder.up.\(index).upsample.conv"
        let geometry: Convolution.Geometry = traits.shuffles ? .doublingShuffled : .doubling
        layers.append(.convolution(Convolution(name, channels, channels, geometry)))
      }
    }
    layers.append(blocks.normalization("decoder.norm_out", channels))
    layers.append(
      .convolution(Convolution("decoder.conv_out", channels, decoder.imageChannels, .same))
    )
    return try NetworkGraph(inputChannels: codes, layers: layers, outputPatch: decoder.patch)
  }
}

/// The parts that levels and middles are made of.
private struct AutoencoderBlocks {
  let traits: AutoencoderConfiguration.Traits
  /// The channels of what the decoder's normalizations depend on; nil in the encoder.
  let condition: Int?

  /// A level's residual blocks, each with its attention; the first changes the channels.
  func level(
    _ name: String,
    _ level: AutoencoderConfiguration.Level,
    _ channels: inout Int
  ) -> [NetworkLayer] {
    var layers: [NetworkLayer] = []
    for index in 0..<level.blocks {
      layers += block("\(name).block.\(index)", channels, level.channels)
      channels = level.channels
      if level.attends { layers.append(attention("\(name).attn.\(index)", channels)) }
    }
    return layers
  }

  /// The blocks at the coarsest resolution.
  func middle(
    _ name: String,
    _ channels: Int,
    of half: AutoencoderConfiguration.Half
  ) -> [NetworkLayer] {
    if let count = half.middleBlocks {
      return (0..<count).flatMap { block("\(name).block.\($0)", channels, channels) }
    }
    return block("\(name).block_1", channels, channels)
      + (half.middleAttends ? [attention("\(name).attn_1", channels)] : [])
      + block("\(name).block_2", channels, channels)
  }

  func downsampling(_ name: String, _ channels: Int) -> NetworkLayer {
    switch traits.downsampling {
    case .asymmetric: .convolution(Convolution(name, channels, channels, .halving))
    case .symmetric: .convolution(Convolution(name, channels, channels, .halvingSymmetric))
    case .average: .pooling(.average)
    }
  }

  private func block(_ name: String, _ input: Int, _ output: Int) -> [NetworkLayer] {
    func convolution(
      _ part: String,
      _ input: Int,
      _ geometry: Convolution.Geometry
    ) -> Convolution {
      Convolution("\(name).\(part)", input, output, geometry, hasBias: traits.hasBiases)
    }
    let body: [NetworkLayer] = [
      normalization("\(name).norm1", input), .convolution(convolution("conv1", input, .same)),
      normalization("\(name).norm2", output), .convolution(convolution("conv2", output, .same)),
    ]
    guard input != output else { return [.residual(ResidualBlock(body: body))] }
    if traits.addsOwnResult {
      return body + [.convolution(convolution("nin_shortcut", output, .pointwise))]
    }
    let shortcut = convolution("nin_shortcut", input, .pointwise)
    return [.residual(ResidualBlock(body: body, shortcut: shortcut))]
  }

  /// A group norm with SiLU, or a spatial norm where the decoder has those.
  func normalization(_ name: String, _ channels: Int) -> NetworkLayer {
    .normalization(groupNorm(name, channels, activates: true))
  }

  private func groupNorm(_ name: String, _ channels: Int, activates: Bool) -> GroupNormalization {
    guard traits.conditioning == .spatial, let condition else {
      return GroupNormalization(name, channels, activates: activates)
    }
    return GroupNormalization(
      "\(name).norm_layer",
      channels,
      activates: activates,
      modulation: .spatial(
        factor: Convolution("\(name).conv_y", condition, channels, .pointwise),
        term: Convolution("\(name).conv_b", condition, channels, .pointwise)
      )
    )
  }

  private func attention(_ name: String, _ channels: Int) -> NetworkLayer {
    .attention(
      AttentionBlock(
        name,
        channels,
        normalization: groupNorm("\(name).norm", channels, activates: false)
      )
    )
  }

  /// The normalization in front of a level of MAGVIT-2's decoder.
  func adaptive(_ name: String, _ channels: Int) -> NetworkLayer {
    .normalization(
      GroupNormalization(
        name,
        channels,
        activates: false,
        modulation: .adaptive(
          gain: Convolution("\(name).gamma", condition ?? 0, channels, .pointwise),
          bias: Convolution("\(name).beta", condition ?? 0, channels, .pointwise),
          epsilon: 1e-6
        )
      )
    )
  }

  /// What Emu3's encoder does over the four equal frames of an image, as convolutions of one frame: the
  /// first gives two different frames side by side, the second joins them.
  static func encoderTime(_ channels: Int, blocks: Int) -> [NetworkLayer] {
    let first = Convolution("encoder.time_conv.0", channels, 2 * channels, .same)
    let second = Convolution("encoder.time_conv.1", 2 * channels, channels, .same)
    return [
      .convolution(first), .activation(.silu), .convolution(second), .activation(.silu),
    ] + (0..<blocks).map { timeBlock("encoder.time_res.\($0)", channels) }
  }

  /// What Emu3's decoder does up to the first of the frames.
  static func decoderTime(_ channels: Int, blocks: Int) -> [NetworkLayer] {
    (0..<blocks).map { timeBlock("decoder.time_res.\($0)", channels) }
      + (0..<2).flatMap { index -> [NetworkLayer] in
        let name = "decoder.time_conv.\(index)"
        return [
          .convolution(Convolution(name, channels, channels, .same)), .activation(.silu),
        ]
      }
  }

  private static func timeBlock(_ name: String, _ channels: Int) -> NetworkLayer {
    .residual(
      ResidualBlock(body: [
        .scaling(ChannelScaling(name: "\(name).norm1", channels: channels)),
        .convolution(Convolution("\(name).conv1", channels, channels, .same)),
        .scaling(ChannelScaling(name: "\(name).norm2", channels: channels)),
        .convolution(Convolution("\(name).conv2", channels, channels, .same)),
      ])
    )
  }
}
