import TesseraCheckpoints
import TesseraCore

extension KerasFlow {
  /// What a layer makes of its inputs; notes what its weights take.
  mutating func outputs(
    of layer: KerasGraphLayer,
    at path: [String],
    on inputs: [KerasFeatures]
  ) throws(TesseraError) -> [KerasFeatures] {
    if let graph = KerasGraph(layer) { return try run(graph, at: path, of: inputs) }
    let kind = KerasLayerKind(layer)
    guard let first = inputs.first else { return [KerasFeatures(axes: .open)] }
    if kind == .timeDistributed { return [try timed(layer, at: path, on: first)] }
    // A layer that sees all axes at once takes steps for positions.
    let whole = inputs.map(\.withoutSteps)
    let result = try output(of: layer, kind, at: path, on: first.withoutSteps, among: whole)
    guard kind == .recurrent else { return [result] }
    // States follow the sequence.
    return [result] + Array(repeating: .features(nil), count: 4)
  }

  private mutating func output(
    of layer: KerasGraphLayer,
    _ kind: KerasLayerKind,
    at path: [String],
    on input: KerasFeatures,
    among inputs: [KerasFeatures]
  ) throws(TesseraError) -> KerasFeatures {
    switch kind {
    case .elementwise, .normalization, .batchNormalization:
      try takeNormalized(input, at: path, layer, kind)
      // Their numbers, one a feature, stand in the model's description.
      let hasNumbers = ["Rescaling", "Normalization"].contains(layer.className)
      return hasNumbers && input.order != nil ? input.doubted(doubt(layer)) : input
    case .convolution: return try convolved(input, at: path, layer)
    case .pooling: return pooled(input, layer)
    case .globalPooling: return pooledGlobally(input, layer)
    case .projection:
      try takeFeatures(input, at: path, layer)
      return input.projected(to: layer.integer("units"))
    case .recurrent:
      try takeFeatures(input, at: path, layer)
      let isSequence = layer.bool("return_sequences") ?? layer.wrapped?.bool("return_sequences")
      return KerasFeatures(axes: .kept, rank: isSequence == true ? 3 : 2)
    case .attention: return try attended(inputs, at: path, layer)
    case .embedding:
      return KerasFeatures(
        axes: .kept,
        rank: input.rank.map { $0 + 1 },
        channels: layer.integer("output_dim")
      )
    case .flatten: return flattened(input, layer)
    case .reshape: return reshaped(input, layer)
    case .permute: return permuted(input, layer)
    case .repeatVector:
      var result = input
      (result.rank, result.positions) = (3, layer.integer("n"))
      return result
    case .concatenation: return concatenated(inputs, layer)
    case .merge: return merged(inputs, layer)
    case .timeDistributed, .model, .opaque: return try passed(inputs, at: path, layer)
    }
  }

  /// A layer that is given one step at a time.
  private mutating func timed(
    _ layer: KerasGraphLayer,
    at path: [String],
    on input: KerasFeatures
  ) throws(TesseraError) -> KerasFeatures {
    guard let inner = layer.wrapped else { return input.doubted(doubt(layer)) }
    var step = input
    step.rank = input.rank.map { $0 - 1 }
    step.steps = max(0, input.steps - 1)
    if input.steps == 0 { step.positions = nil }
    if step.rank == 2 { (step.positions, step.axes) = (1, .kept) }
    if inner.layers != nil { step = try outputs(of: inner, at: path, on: [step])[0] }
    if inner.layers == nil {
      step = try output(of: inner, KerasLayerKind(inner), at: path, on: step, among: [step])
    }
    let isSpatial = step.axes == .first || step.axes == .firstInBoth
    let isSequence = input.steps == 0 && input.rank == 3
    if isSequence, input.axes != .kept { step.axes = input.axes == .made ? .made : .open }
    step.rank = step.rank.map { $0 + 1 }
    step.positions = nil
    step.steps += isSpatial ? 1 : 0
    return step
  }

  func doubt(_ layer: KerasGraphLayer) -> String {
    "'\(layer.name)' (\(layer.className)) before it orders features, and how PyTorch's model does that, with "
      + "channels first, is not known"
  }
}

extension KerasFlow {
  /// Whether the data of a layer stand channels first in Keras.
  private func isChannelsFirst(_ layer: KerasGraphLayer) -> Bool {
    layer.text("data_format") == "channels_first"
  }

  private mutating func convolved(
    _ input: KerasFeatures,
    at path: [String],
    _ layer: KerasGraphLayer
  ) throws(TesseraError) -> KerasFeatures {
    if let doubt = input.doubt { throw refusal(path, layer, doubt) }
    guard input.order == nil else { throw refusal(path, layer, "convolves flattened channels") }
    let isFirst = isChannelsFirst(layer)
    if input.axes == .made, !input.isTrivial, !isFirst {
      let cause =
        "its channels come from a reshape of features before it, which Keras fills channels last and "
        + "PyTorch's view channels first"
      throw refusal(path, layer, cause)
    }
    if isFirst ? input.axes == .first : input.axes == .firstInBoth {
      throw refusal(path, layer, "takes the axes in another order than the layer before it gives")
    }
    let kernel = weights[path]?.first.flatMap { $0["kernel"] ?? $0["depthwise_kernel"] }
    let groups = layer.integer("groups") ?? 1
    let isTransposed = layer.className.hasSuffix("Transpose")
    if let kernel, kernel.shape.rank >= 3, let channels = input.channels, !isFirst {
      let taken = kernel.shape[kernel.shape.rank - (isTransposed ? 1 : 2)]
      let (all, overflow) = taken.multipliedReportingOverflow(by: groups)
      guard !overflow, all == channels else {
        let cause =
          "takes \(all) channels, and the layers before it are described as giving \(channels)"
        throw refusal(path, layer, cause)
      }
    }
    return KerasFeatures(
      axes: isFirst ? .firstInBoth : .first,
      rank: input.rank,
      channels: channels(of: layer, on: input)
    )
  }

  /// The channels that a convolution gives.
  private func channels(of layer: KerasGraphLayer, on input: KerasFeatures) -> Int? {
    guard layer.className.hasPrefix("Depthwise") else { return layer.integer("filters") }
    let multiplier = layer.integer("depth_multiplier") ?? 1
    guard let channels = input.channels else { return nil }
    let (product, overflow) = channels.multipliedReportingOverflow(by: multiplier)
    return overflow ? nil : product
  }

  private func pooled(_ input: KerasFeatures, _ layer: KerasGraphLayer) -> KerasFeatures {
    let isFirst = isChannelsFirst(layer)
    let isMixed = isFirst ? input.axes == .first : input.axes == .firstInBoth
    if input.order != nil || isMixed || input.axes == .made && !input.isTrivial && !isFirst {
      return input.doubted(doubt(layer))
    }
    var result = input
    result.axes = isFirst ? .firstInBoth : .first
    result.positions = nil
    return result
  }

  private func pooledGlobally(_ input: KerasFeatures, _ layer: KerasGraphLayer) -> KerasFeatures {
    let isMade = input.axes == .made && !input.isTrivial && input.rank != 3
    let isMixed = isChannelsFirst(layer) ? input.axes == .first : input.axes == .firstInBoth
    if input.order != nil || isMade || isMixed { return input.doubted(doubt(layer)) }
    var result = KerasFeatures.features(input.channels)
    result.doubt = input.doubt
    if layer.bool("keepdims") == true {
      result.rank = input.rank
      result.axes = isChannelsFirst(layer) ? .firstInBoth : .first
    }
    return result
  }

  private mutating func attended(
    _ inputs: [KerasFeatures],
    at path: [String],
    _ layer: KerasGraphLayer
  ) throws(TesseraError) -> KerasFeatures {
    if weights[path] != nil {
      for input in inputs {
        if let doubt = input.doubt { throw refusal(path, layer, doubt) }
        if input.order != nil { throw refusal(path, layer, "takes flattened channels") }
      }
      try take(.asIs, at: path, layer)
    }
    guard var result = inputs.first else { return KerasFeatures(axes: .open) }
    if inputs.contains(where: { $0.order != nil }) { result = result.doubted(doubt(layer)) }
    if result.axes != .kept { result.axes = .open }
    result.channels = nil
    return result
  }

  private func flattened(_ input: KerasFeatures, _ layer: KerasGraphLayer) -> KerasFeatures {
    guard input.doubt == nil, input.rank != 2 else { return input }
    guard input.order == nil else {
      return input.positions == 1
        ? .features(input.channels, order: input.order) : input.doubted(doubt(layer))
    }
    var count: Int?
    if let channels = input.channels, let positions = input.positions {
      let (product, overflow) = channels.multipliedReportingOverflow(by: positions)
      count = overflow ? nil : product
    }
    if input.isTrivial { return .features(count) }
    // With channels_first, Keras brings channels behind before it flattens.
    let isMoving = isChannelsFirst(layer)
    switch input.axes {
    case .kept, .made: return isMoving ? input.doubted(doubt(layer)) : .features(count)
    case .firstInBoth where !isMoving: return .features(count)
    case .first where isMoving, .open: return input.doubted(doubt(layer))
    case .first, .firstInBoth:
      guard let channels = input.channels else { return input.doubted(doubt(layer)) }
      return .features(count, order: [.moved(positions: input.positions, channels: channels)])
    }
  }

  private func reshaped(_ input: KerasFeatures, _ layer: KerasGraphLayer) -> KerasFeatures {
    guard input.doubt == nil else { return input }
    let target = layer.integers("target_shape") ?? []
    guard let last = target.last else { return input.doubted(doubt(layer)) }
    if target.count == 1 {
      // Reshape knows no data_format.
      return input.axes == .firstInBoth ? .features(nil) : flattened(input, layer)
    }
    guard input.order == nil else { return input.doubted(doubt(layer)) }
    let extents: [Int?] = [nil] + target.map { $0 < 0 ? nil : $0 }
    let isLiteral = input.axes == .kept || input.axes == .made || input.axes == .firstInBoth
    if isLiteral || input.isTrivial {
      return KerasFeatures(axes: .made, rank: extents.count).shaped(extents)
    }
    guard last == input.channels else { return input.doubted(doubt(layer)) }
    return KerasFeatures(axes: .open, rank: extents.count).shaped(extents)
  }

  private func permuted(_ input: KerasFeatures, _ layer: KerasGraphLayer) -> KerasFeatures {
    let axes = layer.integers("dims") ?? []
    guard axes != Array(1..<axes.count + 1), input.doubt == nil else { return input }
    guard input.order == nil else { return input.doubted(doubt(layer)) }
    let isLiteral = input.axes == .kept || input.axes == .made || input.axes == .firstInBoth
    let isLast = axes.last == axes.count && input.axes != .firstInBoth
    return KerasFeatures(
      axes: isLiteral ? .made : .open,
      rank: input.rank,
      channels: isLast ? input.channels : nil,
      positions: isLast ? input.positions : nil
    )
  }
}
