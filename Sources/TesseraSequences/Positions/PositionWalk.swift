import TesseraCore

/// The extents of a grid of codes, each from 1; an image has one frame.
struct Grid {
  let frames: Int
  let height: Int
  let width: Int

  /// The product, which the walk's caller has checked.
  var tokens: Int { frames * height * width }
}

/// The ids along one axis of a grid: one for each value of an index, as exact fractions.
struct PositionRuler {
  /// Which of a token's indices in its grid decides an id.
  enum Index {
    case frame, row, column, token
  }

  let index: Index
  let numerators: [Int]
  let denominator: Int

  init(_ index: Index, count: Int, over denominator: Int = 1, _ numerator: (Int) -> Int) {
    (self.index, self.denominator) = (index, denominator)
    numerators = (0..<count).map(numerator)
  }

  /// The id of a token of a grid, rounded once.
  func id(ofToken token: Int, in grid: Grid) -> Double {
    Double(numerators[place(ofToken: token, in: grid)]) / Double(denominator)
  }

  private func place(ofToken token: Int, in grid: Grid) -> Int {
    switch index {
    case .token: token
    case .column: token % grid.width
    case .row: token / grid.width % grid.height
    case .frame: token / (grid.width * grid.height)
    }
  }
}

/// A run of a document's tokens and the ids it was given.
enum PositionRun {
  /// Text: each axis counts from `first`, or stays at 0 (`rope2d`).
  case text(count: Int, first: Int, isFixed: Bool)
  /// A grid, a ruler an axis; text stood at `before` and goes on at `next`.
  case grid(Grid, rulers: [PositionRuler], before: Int, next: Int)
}

/// The way through a document: gives each segment its ids and remembers where text goes on.
struct PositionWalk {
  private let scheme: PositionScheme
  private let axisCount: Int
  /// The position of the next text token.
  private(set) var next: Int
  /// What was walked, in order.
  private(set) var runs: [PositionRun] = []

  init(scheme: PositionScheme, axisCount: Int) {
    (self.scheme, self.axisCount) = (scheme, axisCount)
    next = scheme.name == .rope2d ? 0 : scheme.origin
  }

  mutating func append(_ document: [Segment]) throws(TesseraError) {
    for segment in document {
      switch segment {
      case .text(let count): appendText(count)
      case .image(let height, let width):
        try appendGrid(Grid(frames: 1, height: height, width: width), seconds: nil)
      case .video(let frames, let height, let width, let seconds):
        try appendVideo(Grid(frames: frames, height: height, width: width), seconds: seconds)
      }
    }
  }

  private mutating func appendText(_ count: Int) {
    let isFixed = scheme.name == .rope2d
    runs.append(.text(count: count, first: next, isFixed: isFixed))
    if !isFixed { next += count }
  }

  private mutating func appendVideo(_ grid: Grid, seconds: Double?) throws(TesseraError) {
    switch scheme.name {
    case .rope2d, .v2pe, .glmImage:
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

  private mutating func appendGrid(_ grid: Grid, seconds: Double?) throws(TesseraError) {
    let (rulers, next) =
      switch scheme.name {
      case .rope1d: flat(grid)
      case .rope2d: spatial(grid)
      case .tie, .tieFractional: tie(grid)
      case .tv: centred(grid)
      case .mrope, .mropeTime, .mropeFrame, .glmImage: try multimodal(grid, seconds: seconds)
      case .v2pe: variable(grid)
      }
    let used = Array(rulers.prefix(axisCount))
    runs.append(.grid(grid, rulers: used, before: self.next - 1, next: next))
    self.next = next
  }

  private func flat(_ grid: Grid) -> ([PositionRuler], Int) {
    ([PositionRuler(.token, count: grid.tokens) { next + $0 }], next + grid.tokens)
  }

  private func spatial(_ grid: Grid) -> ([PositionRuler], Int) {
    let rulers = [
      PositionRuler(.row, count: grid.height) { scheme.origin + $0 },
      PositionRuler(.column, count: grid.width) { scheme.origin + $0 },
    ]
    return (rulers, next)
  }

  private func tie(_ grid: Grid) -> ([PositionRuler], Int) {
    var span = (grid.height + 1) * (grid.width + 1) * (axisCount == 3 ? grid.frames + 1 : 1)
    if scheme.name == .tieFractional { span = grid.tokens + 1 }
    func ruler(_ index: PositionRuler.Index, _ count: Int) -> PositionRuler {
      PositionRuler(index, count: count, over: count + 1) {
        (next - 1) * (count + 1) + ($0 + 1) * span
      }
    }
    let rulers = [
      ruler(.row, grid.height), ruler(.column, grid.width), ruler(.frame, grid.frames),
    ]
    return (rulers, next - 1 + span)
  }

  private func centred(_ grid: Grid) -> ([PositionRuler], Int) {
    func ruler(_ index: PositionRuler.Index, _ count: Int) -> PositionRuler {
      PositionRuler(index, count: count, over: 2) { 2 * (next + $0) + grid.tokens - count }
    }
    let rulers = [
      ruler(.row, grid.height), ruler(.column, grid.width), ruler(.frame, grid.frames),
    ]
    return (rulers, next + grid.tokens)
  }

  private func multimodal(
    _ grid: Grid,
    seconds: Double?
  ) throws(TesseraError) -> ([PositionRuler], Int) {
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
      PositionRuler(.frame, count: grid.frames) { next + Int(Float($0) * interval) },
      PositionRuler(.row, count: grid.height) { next + $0 },
      PositionRuler(.column, count: grid.width) { next + $0 },
    ]
    return (rulers, next + max(Int(last) + 1, grid.height, grid.width))
  }

  private func variable(_ grid: Grid) -> ([PositionRuler], Int) {
    let stride = scheme.stride ?? 1
    let ruler = PositionRuler(.token, count: grid.tokens, over: grid.tokens) {
      (next - 1) * grid.tokens + ($0 + 1) * stride
    }
    return ([ruler], next + stride)
  }
}
