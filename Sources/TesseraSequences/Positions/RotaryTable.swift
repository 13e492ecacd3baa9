import Foundation
package import TesseraCore

/// Which axis of the position ids turns which frequency of a rotary embedding, and how fast.
package struct RotaryTable: Hashable, Sendable {
  /// How the axes share the frequencies.
  package enum Layout: String, CaseIterable, Sendable {
    /// A run of frequencies an axis, from the fastest on (Qwen2-VL).
    case chunked
    /// The first axis everywhere but at 1, 4, 7, … (second axis) and 2, 5, 8, … (third axis), as far
    /// as their sections reach (Qwen3-VL).
    case interleaved
    /// The axes in turns (Su): where all ids are equal this is exactly the one-dimensional embedding.
    case alternating
    /// A run of channels an axis, each with frequencies of its own from 1 down (axial 2-D embeddings).
    case split
  }

  /// The layout.
  package let layout: Layout
  /// The number of axes.
  package let axisCount: Int
  /// The frequencies, one a pair of channels.
  package let inverseFrequencies: [Double]
  /// The axis of each frequency.
  package let axis: [Int]

  /// The most pairs of channels.
  private static let mostPairs = 1 << 16
  /// The most angles of a table of cosines and sines.
  private static let mostAngles = 1 << 26

  /// Creates a table.
  ///
  /// - Parameters:
  ///   - layout: How the axes share the frequencies.
  ///   - headDimension: The number of channels, even.
  ///   - base: The base of the frequencies, above 0, such as 10000.
  ///   - sections: How many frequencies each axis has; nil for equal shares, which chunked and
  ///     interleaved layouts do not know.
  ///   - axes: The number of axes where there are no sections.
  /// - Throws: `TesseraError` for numbers that do not go together.
  package init(
    _ layout: Layout,
    headDimension: Int,
    base: Double,
    sections: [Int]?,
    axes: Int = 2
  ) throws(TesseraError) {
    guard headDimension > 0, headDimension.isMultiple(of: 2), headDimension / 2 <= Self.mostPairs
    else { throw .mismatch("head dimension: \(headDimension) is not even and from 2 to 131072") }
    guard base.isFinite, base > 0 else { throw .mismatch("base: \(base) is not above 0") }
    let pairs = headDimension / 2
    let shares = try Self.shares(layout, pairs: pairs, sections: sections, axes: axes)
    self.layout = layout
    axisCount = shares.count
    axis = Self.axes(layout, shares: shares)
    inverseFrequencies =
      switch layout {
      case .split:
        shares.flatMap { share in
          (0..<share).map { pow(base, -Double($0) / Double(share)) }
        }
      case .chunked, .interleaved, .alternating:
        (0..<pairs).map { pow(base, -Double($0) / Double(pairs)) }
      }
  }

  private static func shares(
    _ layout: Layout,
    pairs: Int,
    sections: [Int]?,
    axes: Int
  ) throws(TesseraError) -> [Int] {
    guard let sections else {
      guard layout == .alternating || layout == .split else {
        throw .mismatch(
          "layout \(layout.rawValue) needs sections, such as 16,24,24 for 128 channels"
        )
      }
      guard (1...8).contains(axes), layout == .alternating || pairs.isMultiple(of: axes) else {
        throw .mismatch("\(pairs) frequencies are no equal shares of \(axes) axes; name sections")
      }
      return (0..<axes).map { (pairs - $0 + axes - 1) / axes }
    }
    guard (1...8).contains(sections.count), sections.allSatisfy({ (0...pairs).contains($0) }),
      sections.reduce(0, +) == pairs
    else {
      let sum = sections.map(String.init).joined(separator: " + ")
      throw .mismatch("sections: \(sum) is not \(pairs), half of the head dimension")
    }
    if layout == .interleaved {
      guard sections.count == 3, 3 * (sections[1] - 1) + 1 < pairs,
        3 * (sections[2] - 1) + 2 < pairs
      else {
        throw .mismatch("layout interleaved has three sections, the later two at most a third each")
      }
    }
    if layout == .split, sections.contains(0) {
      throw .mismatch("layout split has no empty section")
    }
    return sections
  }

  private static func axes(_ layout: Layout, shares: [Int]) -> [Int] {
    let pairs = shares.reduce(0, +)
    switch layout {
    case .chunked, .split:
      return shares.enumerated().flatMap { axis, share in [Int](repeating: axis, count: share) }
    case .interleaved:
      return (0..<pairs).map { pair in
        let turn = pair % 3
        return turn > 0 && pair < 3 * shares[turn] ? turn : 0
      }
    case .alternating:
      // In turns, and where an axis has had its share the others go on.
      var rest = shares
      var axes: [Int] = []
      while axes.count < pairs {
        for axis in rest.indices where rest[axis] > 0 {
          axes.append(axis)
          rest[axis] -= 1
        }
      }
      return axes
    }
  }

  /// The cosines and sines of a document's tokens, float32 [tokens, pairs] each.
  ///
  /// As models compute them: ids and frequencies in float32, their product rounded to float32, the
  /// cosine and sine of that rounded once.
  ///
  /// - Throws: `TesseraError` where the ids have fewer axes, or for more than 2^26 angles.
  package func angles(of positions: PositionIds) throws(TesseraError) -> (cos: Tensor, sin: Tensor)
  {
    guard positions.axes.count >= axisCount else {
      throw .mismatch("the ids have \(positions.axes.count) axes, and the table \(axisCount)")
    }
    let (tokens, pairs) = (positions.tokens, axis.count)
    guard tokens <= Self.mostAngles / pairs else {
      throw .limit("\(tokens) tokens of \(pairs) angles are more than 2^26; split the document")
    }
    // A first axis that only counts tokens turns nothing.
    let first = positions.axes.first == PositionIds.textAxis ? 1 : 0
    let ids = (0..<axisCount).map { axis in
      positions.ids(axis: axis + first).map { Float($0) }
    }
    let frequencies = inverseFrequencies.map { Float($0) }
    var (cosines, sines): ([Float], [Float]) = ([], [])
    cosines.reserveCapacity(tokens * pairs)
    sines.reserveCapacity(tokens * pairs)
    for token in 0..<tokens {
      for pair in 0..<pairs {
        let angle = Double(ids[axis[pair]][token] * frequencies[pair])
        cosines.append(Float(cos(angle)))
        sines.append(Float(sin(angle)))
      }
    }
    let shape: Shape = [tokens, pairs]
    return (Tensor(shape: shape, elements: cosines), Tensor(shape: shape, elements: sines))
  }
}
