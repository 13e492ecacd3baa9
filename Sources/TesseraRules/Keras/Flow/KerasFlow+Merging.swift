import TesseraCheckpoints
import TesseraCore

extension KerasFlow {
  func concatenated(_ inputs: [KerasFeatures], _ layer: KerasGraphLayer) -> KerasFeatures {
    guard var result = inputs.first else { return KerasFeatures(axes: .open) }
    if let doubted = inputs.first(where: { $0.doubt != nil }) { return doubted }
    result.axes = KerasFlow.common(inputs.map(\.axes))
    let axis = layer.integer("axis") ?? -1
    let isLast = axis == -1 || result.rank.map { axis == $0 - 1 } ?? false
    let channelAxis = result.axes == .firstInBoth ? axis == 1 : isLast
    guard channelAxis else {
      // Along positions: features are those of all.
      result.positions = nil
      let isEqual = inputs.allSatisfy { $0.order == result.order }
      return isEqual ? result : result.doubted(doubt(layer))
    }
    result.channels = KerasFlow.sum(inputs.map(\.channels))
    guard inputs.contains(where: { $0.order != nil }) else { return result }
    result.order = inputs.flatMap { $0.order ?? [.plain($0.channels)] }
    return result
  }

  func merged(_ inputs: [KerasFeatures], _ layer: KerasGraphLayer) -> KerasFeatures {
    // A factor a channel or a sum over all positions broadcasts against the larger one.
    guard var result = inputs.max(by: { ($0.rank ?? 99) < ($1.rank ?? 99) }) else {
      return KerasFeatures(axes: .open)
    }
    if let doubted = inputs.first(where: { $0.doubt != nil }) { return doubted }
    guard inputs.allSatisfy({ $0.order == result.order || $0.channels == 1 }) else {
      return result.doubted(doubt(layer))
    }
    let largest = inputs.filter { $0.rank == result.rank && !$0.isTrivial }
    if !largest.isEmpty { result.axes = KerasFlow.common(largest.map(\.axes)) }
    result.channels = inputs.compactMap(\.channels).max()
    let positions = inputs.map(\.positions)
    result.positions = positions.contains(nil) ? nil : positions.compactMap { $0 }.max()
    return result
  }

  /// What code gives, which whoever writes PyTorch's model writes anew: its input's axes at best.
  mutating func passed(
    _ inputs: [KerasFeatures],
    at path: [String],
    _ layer: KerasGraphLayer
  ) throws(TesseraError) -> KerasFeatures {
    guard var result = inputs.first else { return KerasFeatures(axes: .open) }
    if let doubted = inputs.first(where: { $0.doubt != nil }) { return doubted }
    if inputs.contains(where: { $0.order != nil }) { return result.doubted(doubt(layer)) }
    let axes = inputs.map(\.axes)
    let isLiteral = axes.allSatisfy { $0 == .kept || $0 == .made }
    (result.rank, result.positions) = (nil, nil)
    result.axes = isLiteral ? .made : .open
    if isLiteral {
      result.channels = nil
      return result
    }
    // Channels that stay as many are taken for the same; a layer that takes another number is refused.
    guard let channels = result.channels else { return result.doubted(doubt(layer)) }
    result.passed = KerasFeatures.Passed(channels: channels, doubt: doubt(layer))
    return result
  }

  /// Takes what a normalization, or a slope an element, has along its axes.
  mutating func takeNormalized(
    _ input: KerasFeatures,
    at path: [String],
    _ layer: KerasGraphLayer,
    _ kind: KerasLayerKind
  ) throws(TesseraError) {
    guard let layerWeights = weights[path]?.first else { return }
    if let doubt = input.doubt { throw refusal(path, layer, doubt) }
    if layer.className == "GroupNormalization", input.order != nil {
      throw refusal(path, layer, "its groups are of features that PyTorch has in another order")
    }
    let axes = layer.integers("axis") ?? [-1]
    let rank = input.rank
    let places = axes.map { axis in axis < 0 ? rank.map { $0 + axis } : axis }
    if kind == .batchNormalization {
      try takeBatch(input, places, axes, at: path, layer)
    } else if kind == .normalization, layerWeights.scaleRank > 1 {
      try takeTrailing(input, axes, places, layerWeights.scaleRank, at: path, layer)
    } else if kind == .normalization, layer.className != "GroupNormalization", axes != [-1],
      rank == nil || places != [rank.map { $0 - 1 }]
    {
      throw refusal(path, layer, "normalizes axis \(axes[0]), PyTorch's module the last ones")
    } else if input.axes != .firstInBoth {
      try takeFeatures(input, at: path, layer)
    }
  }

  /// A normalization over the batch has one axis: the last, or the second where that is PyTorch's too.
  private mutating func takeBatch(
    _ input: KerasFeatures,
    _ places: [Int?],
    _ axes: [Int],
    at path: [String],
    _ layer: KerasGraphLayer
  ) throws(TesseraError) {
    guard axes.count == 1 else { throw refusal(path, layer, "normalizes several axes") }
    let isLast = axes == [-1] || input.rank.map { places == [$0 - 1] } ?? (axes[0] > 1)
    let isSecond = places == [1]
    let isFirst = input.axes == .firstInBoth
    let isLiteral = input.axes == .kept || input.axes == .made
    guard isFirst ? isSecond : isLast || isSecond && isLiteral else {
      throw refusal(path, layer, "normalizes axis \(axes[0]), PyTorch's module the channels")
    }
    if isLast, !isFirst { try takeFeatures(input, at: path, layer) }
  }

  /// A normalization over several axes: all of them last, none of them between others.
  private mutating func takeTrailing(
    _ input: KerasFeatures,
    _ axes: [Int],
    _ places: [Int?],
    _ count: Int,
    at path: [String],
    _ layer: KerasGraphLayer
  ) throws(TesseraError) {
    guard let rank = input.rank, count == axes.count, input.order == nil,
      places == Array(rank - count..<rank)
    else { throw refusal(path, layer, "normalizes axes that are not the last ones in order") }
    switch input.axes {
    case .kept, .made, .firstInBoth: try take(.asIs, at: path, layer)
    case .first where count == rank - 1 && input.steps == 0:
      try take(.channelsFirst, at: path, layer)
    default:
      throw refusal(path, layer, "normalizes positions and channels whose order is not known")
    }
  }

  /// Where PyTorch has the axes of several tensors that are used together.
  static func common(_ axes: [KerasFeatures.Axes]) -> KerasFeatures.Axes {
    guard let first = axes.first, axes.allSatisfy({ $0 == first }) else { return .open }
    return first
  }

  static func sum(_ counts: [Int?]) -> Int? {
    var sum: Int? = 0
    for count in counts {
      guard let total = sum, let count else { return nil }
      let (next, overflow) = total.addingReportingOverflow(count)
      sum = overflow ? nil : next
    }
    return sum
  }
}

extension KerasFeatures {
  /// Steps are positions to a layer that sees all axes at once, and where they stand is open.
  var withoutSteps: KerasFeatures {
    guard steps > 0 else { return self }
    var result = self
    (result.steps, result.positions, result.axes) = (0, nil, .open)
    return result
  }

  /// The same tensor with other features on its last axis.
  func projected(to count: Int?) -> KerasFeatures {
    var result = self
    result.order = nil
    result.channels = count
    switch axes {
    case .first: result.axes = rank == 2 ? .kept : .open
    case .firstInBoth: (result.axes, result.channels, result.positions) = (.made, nil, nil)
    case .kept, .made, .open: break
    }
    return result
  }
}

extension KerasLayer {
  /// The number of axes of what scales or offsets.
  var scaleRank: Int { (self["gamma"] ?? self["beta"] ?? self["scale"])?.shape.rank ?? 1 }
}
