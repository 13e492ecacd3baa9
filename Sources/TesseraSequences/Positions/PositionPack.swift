import TesseraCore

/// The ids of documents behind each other, in the type that is written.
struct PositionPack {
  private let axes: [String]
  private let documents: [Int]
  private let isFractional: Bool
  private let withTextAxis: Bool
  /// The ids axis by axis; one of the two is used.
  private var integers: [[Int32]]
  private var fractions: [[Float]]

  init(axes: [String], isFractional: Bool, tokens documents: [Int], withTextAxis: Bool) {
    self.axes = withTextAxis ? [PositionIds.textAxis] + axes : axes
    (self.documents, self.isFractional, self.withTextAxis) = (documents, isFractional, withTextAxis)
    let tokens = documents.reduce(0, +)
    let count = self.axes.count
    integers = PositionPack.reserved(count, isFractional ? 0 : tokens)
    fractions = PositionPack.reserved(count, isFractional ? tokens : 0)
  }

  private static func reserved<Element>(_ axes: Int, _ tokens: Int) -> [[Element]] {
    (0..<axes).map { _ in
      var values: [Element] = []
      values.reserveCapacity(tokens)
      return values
    }
  }

  /// Appends a document's ids; returns its number of tokens.
  mutating func append(_ walk: PositionWalk) throws(TesseraError) -> Int {
    var tokens = 0
    let first = withTextAxis ? 1 : 0
    for run in walk.runs {
      switch run {
      case .text(let count, let start, let isFixed):
        for axis in first..<axes.count {
          for token in 0..<count { try append(isFixed ? 0 : Double(start + token), to: axis) }
        }
        tokens += count
      case .grid(let grid, let rulers, let before, let next):
        for (axis, ruler) in rulers.enumerated() {
          for token in 0..<grid.tokens {
            try append(ruler.id(ofToken: token, in: grid), to: first + axis)
          }
        }
        // Another document's video gave the pack an axis of time: this grid has one moment.
        let middle = isFractional ? Double(before + next) / 2 : Double((before + next) >> 1)
        for axis in (first + rulers.count)..<axes.count {
          for _ in 0..<grid.tokens { try append(middle, to: axis) }
        }
        tokens += grid.tokens
      }
    }
    if withTextAxis {
      for token in 0..<tokens { try append(Double(token), to: 0) }
    }
    try check(next: walk.next)
    return tokens
  }

  private mutating func append(_ id: Double, to axis: Int) throws(TesseraError) {
    if isFractional {
      // Below 2^23 float32 holds every half.
      guard abs(id) < 0x1p23 else {
        throw .limit("an id is beyond 2^23, where float32 has no fractions; split the document")
      }
      fractions[axis].append(Float(id))
    } else {
      guard let integer = Int32(exactly: id) else {
        throw .limit("an id is beyond int32; split the document")
      }
      integers[axis].append(integer)
    }
  }

  private func check(next: Int) throws(TesseraError) {
    guard isFractional ? abs(next) < 1 << 23 : Int32(exactly: next) != nil else {
      throw .limit("the next position is beyond the type of the ids; split the document")
    }
  }

  /// Packs the ids, axis by axis.
  consuming func finish(next: Int, delta: Int) throws(TesseraError) -> PositionIds {
    let shape = Shape([axes.count, documents.reduce(0, +)])
    let tensor =
      isFractional
      ? Tensor(shape: shape, elements: Array(fractions.joined()))
      : Tensor(shape: shape, elements: Array(integers.joined()))
    return PositionIds(
      axes: axes,
      tensor: tensor,
      next: next,
      delta: delta,
      documents: documents
    )
  }
}
