public import TesseraCore

/// A rule that gives every token of a document its position ids, one per axis.
///
/// A document is a list of segments. Text of n tokens takes n positions, the same on every axis but
/// for `rope2d`; what a grid of codes takes is the scheme's choice.
public struct PositionScheme: Hashable, Sendable {
  /// The schemes, by the names of the program.
  ///
  /// Below, c is the next text position, L = c - 1 the last one, i, j, k count rows, columns and
  /// frames from 1, and N is the grid's number of tokens.
  public enum Name: String, CaseIterable, Codable, Hashable, Sendable {
    /// One axis: every token the next number.
    case rope1d
    /// Row and column, from 0 in each image; text stays at (0, 0), which is no rotation (LlamaGen).
    case rope2d
    /// RoPE-Tie (Su, spaces.ac.cn 10040): (L + i(w+1), L + j(h+1)), next text L + (h+1)(w+1).
    ///
    /// Three axes extend the post's condition, equal gaps before and after a grid, by
    /// (h+1)s = (w+1)t = (f+1)u: each step is the product of the other two, next text
    /// L + (h+1)(w+1)(f+1), and an image counts as one frame.
    case tie
    /// RoPE-Tie where a grid takes as many positions as it has tokens: steps (N+1)/(h+1),
    /// (N+1)/(w+1) and (N+1)/(f+1), next text L + N + 1.
    case tieFractional = "tie-fractional"
    /// RoPE-TV (Su, spaces.ac.cn 10352): (L + (N-h)/2 + i, L + (N-w)/2 + j, L + (N-f)/2 + k), next
    /// text L + N + 1.
    case tv
    /// M-RoPE (Qwen2-VL): axes t, h, w; (c + k-1, c + i-1, c + j-1), next text the maximum + 1.
    case mrope
    /// M-RoPE in time (Qwen2.5-VL): as `mrope`, with t = c + ⌊(k-1) · seconds · tokens per second⌋.
    case mropeTime = "mrope-time"
    /// M-RoPE by frames (Qwen3-VL): as `mrope`, each frame a grid of its own. The timestamps between
    /// frames are text segments between videos of one frame.
    case mropeFrame = "mrope-frame"
    /// M-RoPE over discrete codes (GLM-Image): images as in `mrope`, no video. What is generated are
    /// two grids with nothing between them, the preview and the target, each from where the one
    /// before ends: c + max(h, w).
    case glmImage = "glm-image"
    /// V2PE (InternVL): one axis; token number n of N gets L + n · stride/N, next text ⌈last⌉ + 1.
    case v2pe

    /// Whether ids can be fractions: then they are float32, and int32 otherwise.
    public var isFractional: Bool {
      switch self {
      case .tieFractional, .tv, .v2pe: true
      case .rope1d, .rope2d, .tie, .mrope, .mropeTime, .mropeFrame, .glmImage: false
      }
    }

    /// The position of a document's first text token where the user names no other: 1 in Su's posts,
    /// 0 elsewhere.
    public var origin: Int {
      switch self {
      case .tie, .tieFractional, .tv: 1
      case .rope1d, .rope2d, .mrope, .mropeTime, .mropeFrame, .glmImage, .v2pe: 0
      }
    }
  }

  /// The rule.
  public let name: Name
  /// The position of the first text token; in `rope2d` the first row and column.
  public let origin: Int
  /// How many positions a second of video takes in `mrope-time`; 2 in the released configurations.
  public let tokensPerSecond: Double
  /// How many positions an image takes in `v2pe`.
  public let stride: Int?

  /// The most tokens of one document, 2^22: ids are computed in memory.
  public static let maximumTokens = 1 << 22

  /// Creates a scheme.
  ///
  /// - Parameters:
  ///   - name: The rule.
  ///   - origin: The first position, in int32; nil for the rule's own.
  ///   - tokensPerSecond: Above 0; for `mrope-time`.
  ///   - stride: 1 to 65536; for `v2pe`, which has no common value and needs one.
  /// - Throws: `TesseraError` for options out of range or of another scheme.
  public init(
    _ name: Name,
    origin: Int? = nil,
    tokensPerSecond: Double = 2,
    stride: Int? = nil
  ) throws(TesseraError) {
    guard tokensPerSecond.isFinite, tokensPerSecond > 0 else {
      throw .mismatch("tokens per second: \(tokensPerSecond) is not above 0")
    }
    if let origin, Int32(exactly: origin) == nil {
      throw .limit("origin: \(origin) is beyond int32")
    }
    guard (name == .v2pe) == (stride != nil) else {
      throw .mismatch("scheme v2pe needs a stride, and no other scheme has one")
    }
    if let stride, !(1...65_536).contains(stride) {
      throw .mismatch("stride: \(stride) is not from 1 to 65536")
    }
    self.name = name
    self.origin = origin ?? name.origin
    (self.tokensPerSecond, self.stride) = (tokensPerSecond, stride)
  }

  /// The names of the axes for a document with or without a video, outermost first.
  public func axes(withVideo: Bool) -> [String] {
    switch name {
    case .rope1d, .v2pe: ["position"]
    case .rope2d: ["row", "column"]
    case .tie, .tieFractional, .tv: withVideo ? ["row", "column", "time"] : ["row", "column"]
    case .mrope, .mropeTime, .mropeFrame, .glmImage: ["t", "h", "w"]
    }
  }

  /// The ids of one document.
  ///
  /// - Parameter segments: The document in order.
  /// - Returns: Ids for every token.
  /// - Throws: `TesseraError` for a segment that the scheme does not define, for more than
  ///   ``maximumTokens`` tokens, and for ids out of range.
  public func positions(of segments: [Segment]) throws(TesseraError) -> PositionIds {
    try positions(ofPack: [segments])
  }

  /// The ids of documents that stand in one sequence: each starts at the origin again.
  ///
  /// - Parameters:
  ///   - documents: The documents in order. Ids depend on their own document alone; where one holds a
  ///     video, those without get an axis of time as well, on which a grid stands halfway between the
  ///     texts around it, rounded down where ids are whole.
  ///   - withTextAxis: Whether a first axis counts the tokens of each document from 0: the [4, L]
  ///     form of M-RoPE, in which transformers finds the documents of a pack.
  /// - Returns: Ids for every token.
  /// - Throws: `TesseraError` as ``positions(of:)``.
  public func positions(
    ofPack documents: [[Segment]],
    withTextAxis: Bool = false
  ) throws(TesseraError) -> PositionIds {
    let tokens = try tokenCounts(of: documents)
    let hasVideo = documents.joined().contains(where: \.isVideo)
    var pack = PositionPack(
      axes: axes(withVideo: hasVideo),
      isFractional: name.isFractional,
      tokens: tokens,
      withTextAxis: withTextAxis
    )
    var last = (next: origin, tokens: 0)
    for document in documents {
      let own = axes(withVideo: document.contains(where: \.isVideo))
      var walk = PositionWalk(scheme: self, axisCount: own.count)
      try walk.append(document)
      last = (walk.next, try pack.append(walk))
    }
    return try pack.finish(next: last.next, delta: last.next - last.tokens)
  }

  /// The number of tokens of each document.
  func tokenCounts(of documents: [[Segment]]) throws(TesseraError) -> [Int] {
    var total = 0
    var counts: [Int] = []
    for document in documents {
      let before = total
      for segment in document {
        let count = segment.tokenCount ?? .max
        guard count <= PositionScheme.maximumTokens - total else {
          throw .limit("there are more than \(PositionScheme.maximumTokens) tokens")
        }
        total += count
      }
      counts.append(total - before)
    }
    return counts
  }

  /// The ids of one image's codes with nothing before them.
  ///
  /// - Parameters:
  ///   - height: The rows of codes, from 1.
  ///   - width: The columns of codes, from 1.
  /// - Returns: Ids for `height * width` tokens in raster order.
  /// - Throws: `TesseraError` where the grid is too large.
  public func positions(
    forImageHeight height: Int,
    width: Int
  ) throws(TesseraError) -> PositionIds {
    try positions(of: [.image(height: height, width: width)])
  }
}
