import ArgumentParser
import Batches
import Foundation
import Readers
import Tokenization

/// What fixes a dataset beside its images and the preprocessing; each has a default.
///
/// They are optional here, so that a worker that has its plan already can refuse them.
struct PlanOptions: ParsableArguments {
  @Option(
    help: """
      The tokenizer: the embedded one's name, a checkpoint, a folder or a JSON description. \
      (default: tessera-f8)
      """,
    completion: .file()
  )
  var tokenizer: String?

  @Option(help: "The layout of the files. (default: webdataset)")
  var format: DatasetFormat?

  @Option(help: "The scheme of the position ids. (default: tie)")
  var positions: PositionChoice?

  @Option(help: "Inputs a shard. (default: 1000)")
  var shardSamples: Int?

  @Option(help: "Added to every code, to place them behind a text vocabulary. (default: 0)")
  var vocabularyOffset: Int?

  @Flag(help: "Also store the latents before quantization, float32 [h, w, channels].")
  var latents = false

  /// The most inputs a shard: a shard's list of inputs is held in memory.
  static let largestShard = 1_000_000
  /// The greatest offset: JSON numbers are exact up to 2^53.
  static let largestOffset = 1 << 52

  func validate() throws {
    if let shardSamples, !(1...Self.largestShard).contains(shardSamples) {
      throw ValidationError("--shard-samples: not from 1 to \(Self.largestShard)")
    }
    if let vocabularyOffset, !(0...Self.largestOffset).contains(vocabularyOffset) {
      throw ValidationError("--vocabulary-offset: not from 0 to \(Self.largestOffset)")
    }
  }

  /// Whether nothing was set.
  var isDefault: Bool {
    tokenizer == nil && format == nil && positions == nil && shardSamples == nil
      && vocabularyOffset == nil && !latents
  }

  /// The tokenizer's name or path as the user gave it.
  var tokenizerName: String { tokenizer ?? ImageTokenizer.embeddedName }

  /// The tokenizer for workers that run elsewhere: the embedded one's name, or an absolute path.
  var tokenizerLocation: String {
    let name = tokenizerName
    if name == ImageTokenizer.embeddedName || name.hasPrefix("/") { return name }
    return FileManager.default.currentDirectoryPath + "/" + name
  }

  /// The settings of a plan.
  func settings(
    of tokenizer: ImageTokenizer,
    layout: ExportOptions,
    preprocessing options: PreprocessingOptions
  ) throws -> DatasetSettings {
    let format = format ?? .webdataset
    let samples = shardSamples ?? 1000
    let isPlain = format == .webdataset && layout.isDefault
    return try DatasetSettings(
      format: format.rawValue,
      tokenizer: TokenizerIdentity(tokenizer),
      vocabularyOffset: vocabularyOffset ?? 0,
      positions: (positions ?? .tie).rawValue,
      latents: latents,
      preprocessing: options.overriding(tokenizer.description.preprocessing),
      pixelLimit: options.limits.pixels,
      shardSamples: samples,
      export: isPlain ? nil : layout.settings(for: format, shardSamples: samples),
      toolVersion: Tessera.version
    )
  }
}

extension PreprocessingOptions {
  /// Whether nothing was set.
  var isDefault: Bool {
    resize == nil && crop == nil && pad == nil && orientation == nil && alpha == nil
      && truncated == nil && limits == .standard
  }
}
