import Foundation
import TesseraCore
public import TesseraImages
import TesseraTokenizers

/// What fixes a dataset beside its images; each has a default.
public struct TokenizationRequest: Sendable {
  /// Where captions come from.
  public enum Captions: Sendable, Hashable {
    /// Files beside the images, or members of their archive: see ``CaptionSource/sidecar``.
    case sidecar
    /// A table of captions: see ``CaptionSource/init(manifest:rules:)``.
    case manifest(String)

    /// The source, opened.
    func source(_ rules: CaptionRules) throws -> CaptionSource {
      switch self {
      case .sidecar: .sidecar(rules)
      case .manifest(let file): try CaptionSource(manifest: file, rules: rules)
      }
    }
  }

  /// The tokenizer, as `ImageTokenizer.init(opening:for:)` takes it.
  public var tokenizer = ImageTokenizer.embeddedName
  /// The layout of the files.
  public var format = DatasetFormat.webdataset
  /// What is chosen about the layout; nil for what is usual there.
  public var layout: DatasetExportSettings?
  /// The scheme of the position ids.
  public var positions = PositionChoice.tie
  /// How many consecutive inputs make a shard.
  public var shardSamples = 1000
  /// Added to every code, to place them behind a text vocabulary.
  public var vocabularyOffset = 0
  /// Where captions come from; nil for none.
  public var captions: Captions?
  /// What is chosen about them.
  public var captionRules = CaptionRules()
  /// The views of each image.
  public var augmentation = Augmentation.none
  /// Whether the latents before quantization stand beside the codes.
  public var keepsLatents = false
  /// What probabilities stand beside the codes; nil for none.
  public var soft: SoftCodeSettings?
  /// How codes are drawn; nil where each is the best one.
  public var sampling: SamplingSettings?
  /// What is done to each image before the network sees it; nil for the tokenizer's own rules.
  public var preprocessing: Preprocessing?
  /// What an image's file may demand.
  public var limits = ImageLimits.standard
  /// How samples become sequences, with position ids by ``positions``; nil where they stay as they are.
  public var sequence: SequenceStage.Request?

  /// Creates a request in which nothing is chosen.
  public init() {}

  /// The endings of the files beside images that are read as captions: none where they are not asked for.
  package var captionEndings: [String] { captions == .sidecar ? captionRules.endings : [] }

  /// The settings of a plan.
  func settings(
    of tokenizer: ImageTokenizer,
    sequence: SequenceSettings?
  ) throws -> DatasetSettings {
    let isPlain = format == .webdataset && layout == nil && sequence == nil
    var export = layout ?? (isPlain ? nil : DatasetExportSettings(usualFor: format))
    export?.shardSamples = shardSamples
    export?.sequence = sequence
    let captionName: String? =
      switch captions {
      case nil: nil
      case .sidecar?: "sidecar"
      case .manifest?: "manifest"
      }
    return try DatasetSettings(
      format: format.rawValue,
      tokenizer: TokenizerIdentity(tokenizer),
      vocabularyOffset: vocabularyOffset,
      positions: positions.rawValue,
      captions: captionName,
      latents: keepsLatents,
      soft: soft,
      sampling: sampling,
      preprocessing: preprocessing ?? tokenizer.description.preprocessing,
      augment: augmentation == .none ? nil : "\(augmentation)",
      pixelLimit: limits.pixels,
      shardSamples: shardSamples,
      export: export,
      toolVersion: ToolVersion.current
    )
  }
}

/// The schemes of position ids that need nothing but the size of the code grid: those of
/// `PositionScheme.Name` of the same names, or none.
public enum PositionChoice: String, Sendable, CaseIterable {
  case rope1d, rope2d, tie
  case tieFractional = "tie-fractional"
  case tv, mrope
  case glmImage = "glm-image"
  /// No position ids.
  case none
}
