package import TesseraCore

extension AutoencoderConfiguration {
  /// What the levels and the halves say against each other, or against what all networks of the kind have.
  ///
  /// A network that lost a level, a block, an attention or a resampling often is another network, whose
  /// tensors are all there. What the rest says of the lost part is compared here: each level with its
  /// neighbours, each half with the other.
  /// - Returns: The tensors that are missing, by the graphs' names; none where all agrees.
  package func disagreements() -> [TesseraError] {
    let halves = Sides(encoder: encoder, decoder: decoder, traits: traits)
    return halves.codeConvolutions() + halves.levelCounts() + halves.resampling()
      + halves.depths() + halves.attention() + halves.patches()
  }
}

/// Both halves, each with the names of its parts.
private struct Sides {
  /// A half and what its tensors are called.
  struct Side {
    let half: AutoencoderConfiguration.Half
    let name: String
    let levels: String
    let resampling: String

    func level(_ index: Int) -> String { "\(name).\(levels).\(index)" }

    /// The error for a residual block that others of its kind say must be there.
    func missingBlock(_ level: Int, _ block: Int, _ reason: String) -> TesseraError {
      .incomplete(name: "\(self.level(level)).block.\(block).conv1.weight", reason: reason)
    }

    func missingResampling(_ level: Int, _ reason: String) -> TesseraError {
      .incomplete(name: "\(self.level(level)).\(resampling).conv.weight", reason: reason)
    }
  }

  let traits: AutoencoderConfiguration.Traits
  let encoder: Side?
  let decoder: Side?

  init(
    encoder: AutoencoderConfiguration.Half?,
    decoder: AutoencoderConfiguration.Half?,
    traits: AutoencoderConfiguration.Traits
  ) {
    self.traits = traits
    self.encoder = encoder.map {
      Side(half: $0, name: "encoder", levels: "down", resampling: "downsample")
    }
    self.decoder = decoder.map {
      Side(half: $0, name: "decoder", levels: "up", resampling: "upsample")
    }
  }

  var sides: [Side] { [encoder, decoder].compactMap(\.self) }

  func codeConvolutions() -> [TesseraError] {
    guard traits.hasCodeConvolutions else { return [] }
    return zip([encoder, decoder], ["quant_conv", "post_quant_conv"]).compactMap { side, name in
      guard let side, side.half.codeChannels == nil else { return nil }
      let reason = "networks of the family have a convolution on either side of the quantizer"
      return .incomplete(name: "\(name).weight", reason: reason)
    }
  }

  func levelCounts() -> [TesseraError] {
    guard let encoder, let decoder else {
      guard let encoder, traits.downsampling == .average else { return [] }
      // Means of 2x2 positions leave no trace in the encoder: the decoder alone counts its levels.
      let reason = "only the decoder says how many levels \(encoder.name).down has"
      return [.incomplete(name: "decoder.conv_in.weight", reason: reason)]
    }
    let (own, other) = (encoder.half.levels.count, decoder.half.levels.count)
    guard own != other else { return [] }
    let less = own < other ? encoder : decoder
    let reason = "the encoder has \(own) levels, the decoder has \(other)"
    return [less.missingBlock(min(own, other), 0, reason)]
  }

  func resampling() -> [TesseraError] {
    switch traits.resampling {
    case .allButOne: (encoder.map(encoderLevels) ?? []) + (decoder.map(decoderLevels) ?? [])
    case .first: sides.flatMap(runs) + counts()
    }
  }

  /// The levels that do not resample, of those that must.
  private func missing(_ levels: Range<Int>, of side: Side, _ rule: String) -> [TesseraError] {
    let reason =
      "each level \(rule) the extents by a convolution (networks of the option "
      + "resamp_with_conv: false are not computed)"
    return levels.filter { !side.half.levels[$0].resamples }
      .map { side.missingResampling($0, reason) }
  }

  private func encoderLevels(_ side: Side) -> [TesseraError] {
    let levels = side.half.levels
    var errors = missing(levels.indices.dropLast(), of: side, "but the last halves")
    if levels.last?.resamples == true {
      let last = levels.count - 1
      errors.append(
        side.missingBlock(last + 1, 0, "level \(last) halves the extents, so it is not the last")
      )
    }
    return errors
  }

  private func decoderLevels(_ side: Side) -> [TesseraError] {
    let levels = side.half.levels
    var errors = missing(levels.indices.dropFirst(), of: side, "but the finest doubles")
    if levels.first?.resamples == true {
      errors.append(
        .contradictory(
          name: "\(side.level(0)).\(side.resampling).conv.weight",
          reason:
            "the finest level doubles the extents, so the one that ends the network is missing"
        )
      )
    }
    return errors
  }

  /// Cosmos: the levels that resample follow each other, from the encoder's first and to the decoder's last.
  private func runs(_ side: Side) -> [TesseraError] {
    let order = Array(side.half.levels.enumerated())
    let ordered = side.name == "encoder" ? order : order.reversed()
    let count = order.count { $0.element.resamples }
    return ordered.prefix(count).filter { !$0.element.resamples }.map {
      side.missingResampling($0.offset, "a level further on changes the extents")
    }
  }

  private func counts() -> [TesseraError] {
    guard let encoder, let decoder else { return [] }
    let own = encoder.half.levels.count(where: \.resamples)
    let other = decoder.half.levels.count(where: \.resamples)
    guard own != other else { return [] }
    let reason =
      "the encoder halves the extents \(own) times, the decoder doubles them \(other) times"
    return own < other
      ? [encoder.missingResampling(own, reason)]
      : [decoder.missingResampling(decoder.half.levels.count - 1 - other, reason)]
  }

  func depths() -> [TesseraError] {
    switch traits.depth {
    case .equal(let more):
      let own = encoder?.half.levels.map(\.blocks).max() ?? 0
      let other = (decoder?.half.levels.map(\.blocks).max() ?? 0) - more
      let depth = max(own, other)
      return sides.flatMap { side in
        let wanted = side.name == "encoder" ? depth : depth + more
        return shallow(side, side.half.levels.map { _ in wanted }) + middle(side, depth)
          + time(side, depth)
      }
    case .published(let own, let other):
      return sides.flatMap { side in
        let wanted = side.name == "encoder" ? own : other
        return wanted.count == side.half.levels.count ? shallow(side, wanted) : []
      }
    }
  }

  private func shallow(_ side: Side, _ wanted: [Int]) -> [TesseraError] {
    zip(side.half.levels, wanted).enumerated().compactMap { index, pair in
      let (level, wanted) = pair
      guard level.blocks < wanted else { return nil }
      let reason = "the other levels say that this one has \(wanted) residual blocks"
      return side.missingBlock(index, level.blocks, reason)
    }
  }

  private func middle(_ side: Side, _ depth: Int) -> [TesseraError] {
    guard traits.middle == .blocks, let count = side.half.middleBlocks, count < depth else {
      return []
    }
    let name = "\(side.name).mid.block.\(count).conv1.weight"
    let reason = "the middle has as many residual blocks as a level, \(depth)"
    return [.incomplete(name: name, reason: reason)]
  }

  private func time(_ side: Side, _ depth: Int) -> [TesseraError] {
    guard let count = side.half.timeBlocks, count < depth else { return [] }
    let name = "\(side.name).time_res.\(count).conv1.weight"
    let reason = "there are as many residual blocks over time as a level has, \(depth)"
    return [.incomplete(name: name, reason: reason)]
  }

  func attention() -> [TesseraError] {
    if let encoder, let decoder {
      let mirrored = mirroredAttention(encoder, decoder)
      if !mirrored.isEmpty { return mirrored }
    }
    return sides.flatMap(placedAttention)
  }

  private func missingAttention(_ name: String, _ reason: String) -> TesseraError {
    .incomplete(name: "\(name).q.weight", reason: reason)
  }

  private func mirroredAttention(_ encoder: Side, _ decoder: Side) -> [TesseraError] {
    var errors: [TesseraError] = []
    let reason = "the other half has attention there"
    for (index, pair) in zip(encoder.half.levels, decoder.half.levels).enumerated()
    where pair.0.attends != pair.1.attends {
      let side = pair.0.attends ? decoder : encoder
      errors.append(missingAttention("\(side.level(index)).attn.0", reason))
    }
    if encoder.half.middleAttends != decoder.half.middleAttends {
      let side = encoder.half.middleAttends ? decoder : encoder
      errors.append(missingAttention("\(side.name).mid.attn_1", reason))
    }
    return errors
  }

  private func placedAttention(_ side: Side) -> [TesseraError] {
    let levels = side.half.levels
    let last = levels.count - 1
    let attends = side.half.middleAttends || levels.contains(where: \.attends)
    guard attends else { return [] }
    var errors: [TesseraError] = []
    // Of two halves that agree, diffusers' middle may be without where a level is not.
    let isAlone = encoder == nil || decoder == nil
    if !side.half.middleAttends, isAlone || traits.attention == .coarsest {
      errors.append(missingAttention("\(side.name).mid.attn_1", "a level has attention"))
    }
    if traits.attention == .coarsest, !levels[last].attends {
      let reason = "networks of the family attend at the coarsest level and in the middle"
      errors.append(missingAttention("\(side.level(last)).attn.0", reason))
    }
    return errors
  }

  func patches() -> [TesseraError] {
    guard let encoder, let decoder, encoder.half.patch != decoder.half.patch else { return [] }
    let reason =
      "\(decoder.half.imageChannels) channels, and the encoder takes \(encoder.half.imageChannels): "
      + "the halves are not of one network"
    return [.contradictory(name: "decoder.conv_out.weight", reason: reason)]
  }
}
