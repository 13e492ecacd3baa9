import Tensors

/// The extents of a grid of codes, each from 1; an image has one frame.
struct Grid {
  let frames: Int
  let height: Int
  let width: Int

  /// The product, which the walk's caller has checked.
  var tokens: Int { frames * height * width }
}

/// The way through a document: collects ids and remembers where text goes on.
struct PositionWalk {
  private let scheme: PositionScheme
  private let axes: [String]
  /// The position of the next text token.
  private var next: Int
  /// The ids of each axis.
  ///
  /// Whole numbers and halves are exact in float64.
  private var ids: [[Double]]

  init(scheme: PositionScheme, axes: [String], tokens: Int) {
    self.scheme = scheme
    self.axes = axes
    next = scheme.name == .rope2d ? 0 : scheme.origin
    ids = axes.map { _ in
      var values: [Double] = []
      values.reserveCapacity(tokens)
      return values
    }
  }

  /// Which of a token's indices in its grid decides an id.
  private enum Index {
    case frame, row, column, token
  }

  /// The ids along one axis of a grid: one for each value of an index, from 0.
  private struct Ruler {
    let index: Index
    let ids: [Double]

    init(_ index: Index, count: Int, _ id: (Int) -> Double) {
      self.index = index
      ids = (0..<count).map(id)
    }
  }

  mutating func appendText(_ count: Int) {
    let isFixed = scheme.name == .rope2d
    for axis in axes.indices {
      for token in 0..<count { ids[axis].append(isFixed ? 0 : Double(next + token)) }
    }
    if !isFixed { next += count }
  }

  mutating func appendVideo(_ grid: Grid, seconds: Double?) throws(PositionError) {
    switch scheme.name {
    case .rope2d, .v2pe:
      throw .mismatch(
        "scheme \(scheme.name.rawValue) defines no video; name its frames as images"
      )
    case .mropeTime where seconds == nil:
      throw .mismatch("scheme mrope-time needs seconds_per_grid for every video")
    case .mropeFrame:
      for _ in 0..<grid.frames {
        try appendGrid(Grid(frames: 1, height: grid.height, width: grid.width), seconds: nil)
      }
    default: try appendGrid(grid, seconds: seconds)
    }
  }

  mutating func appendGrid(_ grid: Grid, seconds: Double?) throws(PositionError) {
    let (rulers, next) =
      switch scheme.name {
      case .rope1d: flat(grid)
      case .rope2d: spatial(grid)
      case .tie, .tieFractional: tie(grid)
      case .tv: centred(grid)
      case .mrope, .mropeTime, .mropeFrame: try multimodal(grid, seconds: seconds)
      case .v2pe: variable(grid)
      }
    for (axis, ruler) in rulers.prefix(axes.count).enumerated() {
      for token in 0..<grid.tokens {
        let index =
          switch ruler.index {
          case .token: token
          case .column: token % grid.width
          case .row: token / grid.width % grid.height
          case .frame: token / (grid.width * grid.height)
          }
        ids[axis].append(ruler.ids[index])
      }
    }
    self.next = next
  }

  private func flat(_ grid: Grid) -> ([Ruler], Int) {
    ([Ruler(.token, count: grid.tokens) { Double(next + $0) }], next + grid.tokens)
  }

  private func spatial(_ grid: Grid) -> ([Ruler], Int) {
    let rulers = [
      Ruler(.row, count: grid.height) { Double(scheme.origin + $0) },
      Ruler(.column, count: grid.width) { Double(scheme.origin + $0) },
    ]
    return (rulers, next)
  }

  private func tie(_ grid: Grid) -> ([Ruler], Int) {
    var span = (grid.height + 1) * (grid.width + 1) * (axes.count == 3 ? grid.frames + 1 : 1)
    if scheme.name == .tieFractional { span = grid.tokens + 1 }
    // One division of whole numbers, so that the id is rounded once.
    func ruler(_ index: Index, _ count: Int) -> Ruler {
      Ruler(index, count: count) {
        Double((next - 1) * (count + 1) + ($0 + 1) * span) / Double(count + 1)
      }
    }
    let rulers = [
      ruler(.row, grid.height), ruler(.column, grid.width), ruler(.frame, grid.frames),
    ]
    return (rulers, next - 1 + span)
  }

  private func centred(_ grid: Grid) -> ([Ruler], Int) {
    func ruler(_ index: Index, _ count: Int) -> Ruler {
      Ruler(index, count: count) { Double(next + $0) + Double(grid.tokens - count) / 2 }
    }
    let rulers = [
      ruler(.row, grid.height), ruler(.column, grid.width), ruler(.frame, grid.frames),
    ]
    return (rulers, next + grid.tokens)
  }

  private func multimodal(
    _ grid: Grid,
    seconds: Double?
  ) throws(PositionError) -> ([Ruler], Int) {
    var interval: Float = 1
    if scheme.name == .mropeTime, let seconds {
      // The model multiplies in float32 and truncates.
      interval = Float(scheme.tokensPerSecond) * Float(seconds)
    }
    let last = Float(grid.frames - 1) * interval
    guard last <= Float(Int32.max) else {
      throw .limit("a video's last frame is beyond int32; lower the tokens per second")
    }
    let rulers = [
      Ruler(.frame, count: grid.frames) { Double(next + Int(Float($0) * interval)) },
      Ruler(.row, count: grid.height) { Double(next + $0) },
      Ruler(.column, count: grid.width) { Double(next + $0) },
    ]
    return (rulers, next + max(Int(last) + 1, grid.height, grid.width))
  }

  private func variable(_ grid: Grid) -> ([Ruler], Int) {
    let stride = scheme.stride ?? 1
    let ruler = Ruler(.token, count: grid.tokens) {
      Double((next - 1) * grid.tokens + ($0 + 1) * stride) / Double(grid.tokens)
    }
    return ([ruler], next + stride)
  }

  /// Checks every id against its type and packs them, axis by axis.
  consuming func finish() throws(PositionError) -> PositionIds {
    let tokens = ids[0].count
    let shape = Shape([axes.count, tokens])
    let all = ids.joined()
    let tensor: Tensor
    if scheme.name.isFractional {
      // Below 2^23 float32 holds every half.
      guard all.allSatisfy({ abs($0) < 0x1p23 }), abs(next) < 1 << 23 else {
        throw .limit("an id is beyond 2^23, where float32 has no fractions; split the document")
      }
      tensor = Tensor(shape: shape, elements: all.map { Float($0) })
    } else {
      var integers: [Int32] = []
      integers.reserveCapacity(tokens * axes.count)
      for id in all {
        guard let integer = Int32(exactly: id) else {
          throw .limit("an id is beyond int32; split the document")
        }
        integers.append(integer)
      }
      guard Int32(exactly: next) != nil else {
        throw .limit("the next position is beyond int32; split the document")
      }
      tensor = Tensor(shape: shape, elements: integers)
    }
    return PositionIds(axes: axes, tensor: tensor, next: next, delta: next - tokens)
  }
}
