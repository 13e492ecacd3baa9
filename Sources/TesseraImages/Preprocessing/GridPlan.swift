import TesseraCore

/// What is planned for one image: an element of `grid --json`, `schemas/grid.schema.json`.
package struct GridPlan: Encodable, Sendable {
  let key: String
  let source: String
  let size: [Int]
  let resized: [Int]
  let crop: [Int]
  let canvas: [Int]
  let grid: [Int]
  let gridTHW: [Int]
  let tokens: Int

  enum CodingKeys: String, CodingKey {
    case key, source, size, resized, crop, canvas, grid, tokens
    case gridTHW = "grid_thw"
  }

  /// A line for a table, its columns separated by tabs; control characters of a name are escaped.
  package var text: String {
    [
      source.oneLine, "\(size[0])x\(size[1])", "\(resized[0])x\(resized[1])",
      "\(grid[0])x\(grid[1])",
      "\(tokens)",
    ].joined(separator: "\t")
  }
}

/// What is planned altogether: `total` of `grid --json`.
package struct GridTotal: Encodable {
  private let account: InputAccount
  package private(set) var images = 0
  package private(set) var tokens = 0
  /// The most tokens of an image.
  package private(set) var most = 0
  package private(set) var rejected = 0

  /// Begins with no images.
  ///
  /// - Parameter account: What was met beside them.
  package init(_ account: InputAccount = InputAccount()) { self.account = account }

  enum CodingKeys: String, CodingKey {
    case images, tokens, rejected
    case most = "most_tokens"
  }

  /// Writes the account beside the counts.
  package func encode(to encoder: any Encoder) throws {
    try account.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(images, forKey: .images)
    try container.encode(tokens, forKey: .tokens)
    try container.encode(most, forKey: .most)
    try container.encode(rejected, forKey: .rejected)
  }

  package mutating func add(_ outcome: GridPlanner.Outcome) {
    switch outcome {
    case .planned(let plan):
      images += 1
      tokens += plan.tokens
      most = max(most, plan.tokens)
    case .rejected: rejected += 1
    }
  }
}

/// Sizes and token counts of images, from their headers alone.
package struct GridPlanner: Sendable {
  package enum Outcome: Sendable {
    case planned(GridPlan)
    case rejected(Rejection)
  }

  private let profile: Preprocessing
  private let limits: ImageLimits
  private let stride: Int
  private let patch: Int

  /// Prepares for images.
  ///
  /// - Parameters:
  ///   - profile: What happens to an image before its network.
  ///   - limits: What a file may demand.
  ///   - stride: Pixels per code.
  ///   - patch: Pixels per patch, which `grid_thw` counts.
  package init(profile: Preprocessing, limits: ImageLimits, stride: Int, patch: Int) {
    (self.profile, self.limits, self.stride, self.patch) = (profile, limits, stride, patch)
  }

  /// The plan of one image, or why it would be rejected.
  ///
  /// - Throws: `TesseraError` where this machine is at fault.
  @concurrent @Sendable
  package func outcome(of input: ImageInput) async throws -> Outcome {
    var stage = Rejection.Stage.read
    do {
      stage = .decode
      let header = try LibraryCrash.naming(input.source, library: .image) {
        try input.header(limits: limits)
      }
      stage = .preprocess
      return .planned(try plan(for: profile.sizes(for: header, limits: limits), of: input))
    } catch let error as TesseraError {
      if error.isMachineFault { throw error }
      // Decoders and rules know pixels; what names a file was in the way of reading it.
      return .rejected(input.rejection(error.file.isEmpty ? stage : .read, error))
    }
  }

  private func plan(
    for sizes: PreprocessedSizes,
    of input: ImageInput
  ) throws(TesseraError) -> GridPlan {
    let (canvas, box) = (sizes.canvas, sizes.crop)
    guard canvas.width.isMultiple(of: stride), canvas.height.isMultiple(of: stride) else {
      throw TesseraError.picture(
        .unfit,
        "\(canvas) pixels are no multiples of \(stride) pixels per code; crop, pad or resize to some"
      )
    }
    let grid = [canvas.height / stride, canvas.width / stride]
    return GridPlan(
      key: input.key,
      source: input.source,
      size: [sizes.original.width, sizes.original.height],
      resized: [sizes.resized.width, sizes.resized.height],
      crop: [box.left, box.top, box.left + box.width, box.top + box.height],
      canvas: [canvas.width, canvas.height],
      grid: grid,
      gridTHW: [1, canvas.height / patch, canvas.width / patch],
      tokens: grid[0] * grid[1]
    )
  }
}
