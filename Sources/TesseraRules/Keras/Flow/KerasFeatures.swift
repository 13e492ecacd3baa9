import TesseraCore

/// What is known of a tensor between two Keras layers, beside the one that PyTorch's modules have there.
///
/// Keras keeps channels last, [batch, positions…, channels]; PyTorch's convolutions, poolings and batch
/// normalizations have them first, [batch, channels, positions…]. All other modules leave axes alone.
struct KerasFeatures: Hashable {
  /// Where PyTorch has the axes.
  enum Axes: Hashable {
    /// Where Keras has them.
    case kept
    /// Where Keras has them, if the axes are made as Keras makes them; PyTorch's `view` may be meant.
    case made
    /// Channels first, where Keras has them last.
    case first
    /// Channels first in Keras too (`data_format: channels_first`).
    case firstInBoth
    /// In either place: a model in PyTorch decides.
    case open
  }

  /// A run of the features that became one axis.
  enum Piece: Hashable {
    /// In the same order in both; nil where the number is not known.
    case plain(Int?)
    /// [positions, channels] in Keras, [channels, positions] in PyTorch.
    case moved(positions: Int?, channels: Int)

    var count: Int? {
      switch self {
      case .plain(let count): return count
      case .moved(let positions, let channels):
        guard let positions else { return nil }
        let (count, overflow) = positions.multipliedReportingOverflow(by: channels)
        return overflow ? nil : count
      }
    }
  }

  var axes: Axes
  /// The number of axes with the batch's.
  var rank: Int?
  /// The extent of the channels: the last axis in Keras, or axis 1 for `firstInBoth`.
  var channels: Int?
  /// The product of the extents between the batch and the channels.
  var positions: Int?
  /// The order of the last axis in PyTorch; nil where it is Keras'.
  var order: [Piece]?
  /// How many axes behind the batch's a TimeDistributed layer takes one at a time.
  var steps = 0
  /// The channels that code is taken to pass on, with the doubt where it gives another number.
  var passed: Passed?
  /// Why the order of the features in PyTorch is not known, with the layer's name.
  var doubt: String?

  /// What is expected of code that is not known.
  struct Passed: Hashable {
    let channels: Int
    let doubt: String
  }

  /// Whether moving the channels changes no order in memory.
  var isTrivial: Bool { channels == 1 || positions == 1 }

  /// What is known with a shape of the tensor that the description states.
  func shaped(_ shape: [Int?]?) -> KerasFeatures {
    guard let shape, shape.count >= 2 else { return self }
    if let passed, let last = shape[shape.count - 1], last != passed.channels {
      return doubted(passed.doubt)
    }
    var result = self
    result.passed = nil
    result.rank = shape.count
    let channelAxis = axes == .firstInBoth ? 1 : shape.count - 1
    result.channels = shape[channelAxis] ?? channels
    var product: Int? = 1
    for (axis, extent) in shape.enumerated() where axis > steps && axis != channelAxis {
      guard let total = product, let extent else {
        product = nil
        continue
      }
      let (next, overflow) = total.multipliedReportingOverflow(by: extent)
      product = overflow ? nil : next
    }
    result.positions = product ?? positions
    return result
  }

  /// The same with a doubt, unless there is one already.
  func doubted(_ cause: String) -> KerasFeatures {
    var result = self
    result.doubt = doubt ?? cause
    return result
  }

  /// Features of two axes, [batch, channels].
  static func features(_ count: Int?, order: [Piece]? = nil) -> KerasFeatures {
    KerasFeatures(axes: .kept, rank: 2, channels: count, positions: 1, order: order)
  }
}

extension [KerasFeatures.Piece] {
  /// The same pieces for an axis of so many elements; nil where they do not fill it.
  func filling(_ count: Int) -> [KerasFeatures.Piece]? {
    let open = indices.filter { self[$0].count == nil }
    let known = compactMap(\.count).reduce(0, +)
    guard open.count <= 1, known <= count else { return nil }
    guard let index = open.first else { return known == count ? self : nil }
    let rest = count - known
    var pieces = self
    switch self[index] {
    case .plain: pieces[index] = .plain(rest)
    case .moved(_, let channels):
      guard channels > 0, rest % channels == 0 else { return nil }
      pieces[index] = .moved(positions: rest / channels, channels: channels)
    }
    return pieces
  }

  /// What brings an axis from Keras' order into PyTorch's.
  ///
  /// - Parameters:
  ///   - shape: The tensor's shape; the pieces fill the axis.
  ///   - axis: The axis.
  /// - Returns: Operations on the tensor; none where nothing moves.
  func operations(on shape: Shape, axis: Int) -> [TensorOperation] {
    let moves = map { $0.operations(on: shape, axis: axis) }
    guard moves.contains(where: { !$0.isEmpty }) else { return [] }
    if moves.count == 1 { return moves[0] }
    let sizes = compactMap(\.count)
    return [
      .split(axis: axis, sizes: sizes), .each(moves), .concatenate(axis: axis, sizes: sizes),
    ]
  }
}

extension KerasFeatures.Piece {
  /// Exchanges positions and channels along an axis.
  fileprivate func operations(on shape: Shape, axis: Int) -> [TensorOperation] {
    guard case .moved(let positions?, let channels) = self, positions > 1, channels > 1 else {
      return []
    }
    let (before, after) = (shape.dimensions[..<axis], shape.dimensions[(axis + 1)...])
    let flat = Shape(before + [positions * channels] + after)
    let grid = Shape(before + [positions, channels] + after)
    let moved = Shape(before + [channels, positions] + after)
    var axes = Array(0..<grid.rank)
    axes.swapAt(axis, axis + 1)
    return [.reshape(from: flat, to: grid), .permute(axes), .reshape(from: moved, to: flat)]
  }
}
