import ArgumentParser
import Foundation
import TesseraCore
import TesseraImages
import TesseraTokenizers

/// `smart_resize` as models are released, by name, or by its numbers.
struct SmartResizeChoice: ExpressibleByArgument {
  let rule: SmartResize
  /// Pixels a token, after patches are merged.
  let stride: Int
  /// Pixels a patch: what `image_grid_thw` counts.
  let patch: Int

  /// Names with factor, fewest and most pixels, patch, variant: the defaults of transformers' image
  /// processors and of the released configurations.
  static let named: [(String, Int, Int, Int, Int, SmartResize.Variant)] = [
    ("qwen2-vl", 28, 56 * 56, 28 * 28 * 1280, 14, .standard),
    ("qwen2.5-vl", 28, 56 * 56, 28 * 28 * 16384, 14, .standard),
    ("qwen3-vl", 32, 256 * 256, 4096 * 4096, 16, .standard),
    ("emu3", 8, 512 * 512, 1024 * 1024, 8, .standard),
    ("glm4v", 28, 112 * 112, 28 * 28 * 2 * 6144, 14, .glm4v),
    ("paddleocr", 28, 384 * 384, 1536 * 1536, 14, .paddleOCR),
    ("glm-image", 16, 512 * 512, 2048 * 2048, 16, .glmImage),
  ]

  init?(argument: String) {
    if let (_, factor, minimum, maximum, patch, variant) = Self.named.first(where: {
      $0.0 == argument
    }) {
      guard
        let rule = SmartResize(factor: factor, minimum: minimum, maximum: maximum, variant: variant)
      else { return nil }
      self.rule = rule
      stride = factor
      self.patch = patch
    } else {
      guard case .smart(_, let rule)? = ResizeRule("bicubic:smart=\(argument)") else { return nil }
      self.rule = rule
      stride = rule.factor
      patch = rule.factor
    }
  }

  static var allValueStrings: [String] { named.map(\.0) }
}

/// Plans sizes and token counts.
struct GridCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "grid",
    abstract: "Say what size, code grid and token count each image will have; reads headers alone.",
    discussion: """
      EXAMPLE
        tessera grid photos/
        tessera grid photos/ --smart-resize qwen2-vl --json
        tessera grid photos/ --resize bicubic:area=262144/16 --crop none --stride 16

      A line an image: source, size, resized size, grid (height x width), tokens, separated by tabs. Sizes \
      are width x height. Without flags the profile is that of the embedded tokenizer. What would be \
      rejected is said on standard error.
      """
  )

  @Argument(
    help: "Folders of \(ImageFormat.endings) files, single images, lists (.txt) or archives (.tar).",
    completion: .file()
  )
  var inputs: [String]

  @Option(help: "The tokenizer that gives profile and stride. (default: tessera-f8)")
  var tokenizer: String?

  @Option(
    help: """
      In place of a tokenizer's profile: a model's smart_resize by name, or FACTOR/MIN/MAX[:VARIANT] in \
      pixels, one token a factor x factor.
      """
  )
  var smartResize: SmartResizeChoice?

  @Option(help: "Pixels a code, in place of the tokenizer's.")
  var stride: Int?

  @OptionGroup(title: "Preprocessing") var preprocessing: PreprocessingOptions

  @Flag(help: "Exit with 1 where any input would be rejected.")
  var strict = false

  @OptionGroup var reporting: OutputOptions

  func validate() throws {
    if let stride, !(1...1 << 16).contains(stride) {
      throw ValidationError("--stride: not from 1 to 65536")
    }
    guard smartResize == nil || (tokenizer == nil && preprocessing.resize == nil) else {
      throw ValidationError("--smart-resize stands in place of --tokenizer and --resize")
    }
  }

  func run() async throws {
    let found = try ImageInputs.collect(inputs)
    for note in found.notes { reporting.note(note) }
    let planner = try makePlanner()
    var total = GridTotal()
    var isFirst = true
    if reporting.json { try StandardOutput.write("{\"images\": [") }
    try await found.inputs.mapInOrder(
      width: ProcessInfo.processInfo.activeProcessorCount,
      planner.outcome
    ) { outcome in
      total.add(outcome)
      switch outcome {
      case .planned(let plan):
        if reporting.json {
          let line = String(decoding: try CanonicalJSON.line(plan).dropLast(), as: UTF8.self)
          try StandardOutput.write((isFirst ? "\n" : ",\n") + line)
          isFirst = false
        } else {
          try StandardOutput.print(plan.text)
        }
      case .rejected(let rejection):
        reporting.note(
          "rejected \(rejection.source): \(rejection.stage.rawValue): \(rejection.reason)"
        )
      }
    }
    if reporting.json {
      let line = String(decoding: try CanonicalJSON.line(total), as: UTF8.self)
      try StandardOutput.print("\n],\n\"total\": \(line)}")
    }
    reporting.note(
      "grid: \(total.images) images, \(total.tokens) tokens, at most \(total.most) an image; "
        + "\(total.rejected) rejected"
    )
    if total.images == 0 || (strict && total.rejected > 0) { throw ExitCode(1) }
  }

  private func makePlanner() throws -> GridPlanner {
    var profile = Preprocessing()
    var step = stride
    var patch = stride
    if let smartResize {
      profile.resize = .smart(.bicubic, smartResize.rule)
      step = stride ?? smartResize.stride
      patch = stride ?? smartResize.patch
    } else if tokenizer != nil || stride == nil {
      let opened = try ImageTokenizer(opening: tokenizer ?? ImageTokenizer.embeddedName)
      profile = opened.description.preprocessing
      step = stride ?? opened.stride
      patch = step
    }
    return GridPlanner(
      profile: preprocessing.overriding(profile),
      limits: preprocessing.limits,
      stride: step ?? 1,
      patch: patch ?? 1
    )
  }
}

/// What is planned for one image: an element of `grid --json`, `schemas/grid.schema.json`.
private struct GridPlan: Encodable, Sendable {
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

  var text: String {
    [
      source, "\(size[0])x\(size[1])", "\(resized[0])x\(resized[1])", "\(grid[0])x\(grid[1])",
      "\(tokens)",
    ].joined(separator: "\t")
  }
}

private struct GridTotal: Encodable {
  var images = 0
  var tokens = 0
  var most = 0
  var rejected = 0

  enum CodingKeys: String, CodingKey {
    case images, tokens, rejected
    case most = "most_tokens"
  }

  mutating func add(_ outcome: GridPlanner.Outcome) {
    switch outcome {
    case .planned(let plan):
      images += 1
      tokens += plan.tokens
      most = max(most, plan.tokens)
    case .rejected: rejected += 1
    }
  }
}

private struct GridPlanner: Sendable {
  enum Outcome: Sendable {
    case planned(GridPlan)
    case rejected(Rejection)
  }

  let profile: Preprocessing
  let limits: ImageLimits
  let stride: Int
  let patch: Int

  @concurrent @Sendable
  func outcome(of input: ImageInput) async throws -> Outcome {
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
        "\(canvas) pixels are no multiples of \(stride) pixels a code; crop, pad or resize to some"
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
