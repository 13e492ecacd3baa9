import ArgumentParser
import TesseraCore
import TesseraDatasets
import TesseraImages
import TesseraTokenizers

/// The rules of `--sample`.
enum SamplingRule: String, ExpressibleByArgument, CaseIterable {
  case gumbel
}

/// What fixes a dataset beside its images and the preprocessing; each has a default.
///
/// They are optional here, so that a worker that has its plan already can refuse them.
struct PlanOptions: ParsableArguments {
  @Option(
    help: """
      The tokenizer: the embedded one's name, FAMILY:FILE (see 'tessera tokenizers'), a checkpoint, \
      a folder or a JSON description. (default: tessera-f8)
      """,
    completion: .file()
  )
  var tokenizer: String?

  @Option(help: "The layout of the files. (default: webdataset)")
  var format: DatasetFormat?

  @Option(help: "The scheme of the position ids. (default: tie)")
  var positions: PositionChoice?

  @Option(help: "Inputs per shard; rejected ones leave it smaller. (default: 1000)")
  var shardSamples: Int?

  @Option(help: "Added to every code, to place them behind a text vocabulary. (default: 0)")
  var vocabularyOffset: Int?

  @OptionGroup(title: "Captions") var captions: CaptionOptions

  @Option(
    help: ArgumentHelp(
      "Views of each image: flip, or ten-crop[:RANGE], as LlamaGen's extraction; codes are [views, tokens].",
      discussion: """
        flip adds the mirror image. ten-crop prepares RANGE times as much (1.1) and takes corners \
        and middle of it and of its mirror image.
        """,
      valueName: "views"
    )
  )
  var augment: String?

  @Flag(help: "Also store the latents before quantization, float32 [h, w, channels].")
  var latents = false

  @Option(
    name: .long,
    help: """
      Also store probabilities of codes (soft_indptr, soft_indices, soft_values.npy: compressed rows, one a \
      position): entmax:1.5, sparsemax, softmax:top-k=8 … of -|z - e|²/temperature.
      """
  )
  var soft: String?

  @Option(
    help:
      "Draw codes in place of taking the best: gumbel, from the softmax of -|z - e|²/temperature."
  )
  var sample: SamplingRule?

  @Option(
    help: "The key of the random numbers; with the sample's key and the position it fixes a draw."
  )
  var seed: UInt64?

  @Option(help: "What -|z - e|² is divided by. (default: 1)")
  var temperature: Double?

  /// The most inputs per shard: a shard's list of inputs is held in memory.
  static let largestShard = 1_000_000
  /// The greatest offset: JSON numbers are exact up to 2^53.
  static let largestOffset = 1 << 52

  func validate() throws {
    if let augment {
      guard let rule = Augmentation(augment) else {
        throw ValidationError("'\(augment)' is no augmentation; it is \(Augmentation.grammar)")
      }
      guard rule == .none || (!latents && soft == nil && sample == nil) else {
        throw ValidationError("--augment: --latents, --soft and --sample are of one view alone")
      }
    }
    if let shardSamples, !(1...Self.largestShard).contains(shardSamples) {
      throw ValidationError("--shard-samples: not from 1 to \(Self.largestShard)")
    }
    if let vocabularyOffset, !(0...Self.largestOffset).contains(vocabularyOffset) {
      throw ValidationError("--vocabulary-offset: not from 0 to \(Self.largestOffset)")
    }
    if let soft {
      do {
        _ = try ProbabilityMap(parsing: soft)
      } catch {
        throw ValidationError("--soft: \(error)")
      }
    }
    if sample != nil, seed == nil { throw ValidationError("--sample needs --seed") }
    if seed != nil, sample == nil { throw ValidationError("--seed belongs to --sample") }
    if let temperature {
      do {
        try ProbabilityMap.check(temperature: temperature)
      } catch {
        throw ValidationError("--\(error)")
      }
      guard soft != nil || sample != nil else {
        throw ValidationError("--temperature belongs to --soft or --sample")
      }
    }
  }

  /// Whether nothing was set.
  var isDefault: Bool {
    tokenizer == nil && format == nil && positions == nil && shardSamples == nil
      && vocabularyOffset == nil && captions.isDefault && !latents && soft == nil && sample == nil
      && seed == nil && temperature == nil && augment == nil
  }

  /// The views of each image.
  var augmentation: Augmentation { augment.flatMap { Augmentation($0) } ?? .none }

  /// What is asked for; the layout's own options are left out where none was given.
  func request(
    _ layout: ExportOptions,
    _ sequences: SequenceOptions,
    _ preprocessing: PreprocessingOptions
  ) throws -> TokenizationRequest {
    var request = TokenizationRequest()
    request.tokenizer = tokenizer ?? request.tokenizer
    request.format = format ?? request.format
    request.positions = positions ?? request.positions
    request.shardSamples = shardSamples ?? request.shardSamples
    request.vocabularyOffset = vocabularyOffset ?? request.vocabularyOffset
    request.captions = captions.source
    request.captionRules = captions.rules
    request.augmentation = augmentation
    request.keepsLatents = latents
    let temperature = temperature ?? 1
    request.soft = soft.map { SoftCodeSettings(map: $0, temperature: temperature) }
    request.sampling = seed.map { SamplingSettings(gumbel: $0, temperature: temperature) }
    request.limits = preprocessing.limits
    if !layout.isDefault {
      request.layout = try layout.settings(
        for: request.format,
        shardSamples: request.shardSamples
      )
    }
    request.sequence = try sequences.request()
    return request
  }
}

extension PreprocessingOptions {
  /// Whether nothing was set.
  var isDefault: Bool {
    resize == nil && crop == nil && pad == nil && orientation == nil && alpha == nil
      && truncated == nil && limits == .standard
  }
}
