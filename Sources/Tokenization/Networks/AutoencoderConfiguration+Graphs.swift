extension AutoencoderConfiguration {
  /// The encoder's layers, from the image to what the quantizer takes; nil where there is no encoder.
  ///
  /// Haar transform, `conv_in`, the levels from fine to coarse, the middle, `norm_out`, SiLU, `conv_out`,
  /// `quant_conv`.
  /// - Throws: `invalidGraph` where the sizes do not fit together.
  public func encoderGraph() throws(NetworkError) -> NetworkGraph? {
    guard let encoder else { return nil }
    var channels = encoder.baseChannels
    var layers: [NetworkLayer] = [
      .convolution(Convolution("encoder.conv_in", encoder.imageChannels, channels, .same))
    ]
    for (index, level) in encoder.levels.enumerated() {
      layers += Self.blocks("encoder.down.\(index)", level, &channels)
      if level.resamples {
        let name = "encoder.down.\(index).downsample.conv"
        layers.append(.convolution(Convolution(name, channels, channels, .halving)))
      }
    }
    layers += Self.middle("encoder.mid", channels, attends: encoder.middleAttends)
    layers.append(.normalization(GroupNormalization("encoder.norm_out", channels)))
    layers.append(
      .convolution(Convolution("encoder.conv_out", channels, encoder.latentChannels, .same))
    )
    if let codes = encoder.codeChannels {
      let geometry: Convolution.Geometry = encoder.codeKernel == 1 ? .pointwise : .same
      layers.append(
        .convolution(Convolution("quant_conv", encoder.latentChannels, codes, geometry))
      )
    }
    return try NetworkGraph(inputChannels: 3, inputPatch: encoder.patch, layers: layers)
  }

  /// The decoder's layers, from the quantizer's values to the image; nil where there is no decoder.
  ///
  /// `post_quant_conv`, `conv_in`, the middle, the levels from coarse to fine, `norm_out`, SiLU, `conv_out`,
  /// inverse Haar transform.
  /// - Throws: `invalidGraph` where the sizes do not fit together.
  public func decoderGraph() throws(NetworkError) -> NetworkGraph? {
    guard let decoder, var channels = decoder.levels.last?.channels else { return nil }
    var layers: [NetworkLayer] = []
    if let codes = decoder.codeChannels {
      let geometry: Convolution.Geometry = decoder.codeKernel == 1 ? .pointwise : .same
      layers.append(
        .convolution(Convolution("post_quant_conv", codes, decoder.latentChannels, geometry))
      )
    }
    layers.append(
      .convolution(Convolution("decoder.conv_in", decoder.latentChannels, channels, .same))
    )
    layers += Self.middle("decoder.mid", channels, attends: decoder.middleAttends)
    for (index, level) in decoder.levels.enumerated().reversed() {
      layers += Self.blocks("decoder.up.\(index)", level, &channels)
      if level.resamples {
        let name = "decoder.up.\(index).upsample.conv"
        layers.append(.convolution(Convolution(name, channels, channels, .doubling)))
      }
    }
    layers.append(.normalization(GroupNormalization("decoder.norm_out", channels)))
    layers.append(
      .convolution(Convolution("decoder.conv_out", channels, decoder.imageChannels, .same))
    )
    return try NetworkGraph(
      inputChannels: decoder.codeChannels ?? decoder.latentChannels,
      layers: layers,
      outputPatch: decoder.patch
    )
  }

  /// A level's residual blocks, each with its attention; the first changes the channels.
  private static func blocks(
    _ name: String,
    _ level: Level,
    _ channels: inout Int
  ) -> [NetworkLayer] {
    var layers: [NetworkLayer] = []
    for index in 0..<level.blocks {
      layers.append(.residual(ResidualBlock("\(name).block.\(index)", channels, level.channels)))
      channels = level.channels
      if level.attends {
        layers.append(.attention(AttentionBlock("\(name).attn.\(index)", channels)))
      }
    }
    return layers
  }

  /// The blocks at the coarsest resolution.
  private static func middle(_ name: String, _ channels: Int, attends: Bool) -> [NetworkLayer] {
    [.residual(ResidualBlock("\(name).block_1", channels, channels))]
      + (attends ? [.attention(AttentionBlock("\(name).attn_1", channels))] : [])
      + [.residual(ResidualBlock("\(name).block_2", channels, channels))]
  }
}
