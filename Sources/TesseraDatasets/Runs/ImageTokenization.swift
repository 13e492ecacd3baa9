import Foundation
import TesseraCore
import TesseraImages
import TesseraSequences
public import TesseraTokenizers

/// The way of an image through a plan: bytes, pixels, latents, codes, sample.
package struct ImageTokenization: Sendable {
  /// How long all tasks together spent in each stage.
  package let times = StageTimes()

  private let tokenizer: ImageTokenizer
  private let settings: DatasetSettings
  /// What prepares the pictures: the settings' rules, enlarged where views are cut out.
  private let preprocessing: Preprocessing
  private let augmentation: Augmentation
  private let crop: CropRule
  private let scheme: PositionScheme?
  private let limits: ImageLimits
  private let soft: (map: ProbabilityMap, temperature: Double)?

  /// Prepares for a plan's settings.
  ///
  /// - Parameters:
  ///   - settings: What the plan fixes.
  ///   - tokenizer: The tokenizer that the settings name.
  /// - Throws: `TesseraError` where the tokenizer is another one.
  package init(settings: DatasetSettings, tokenizer: ImageTokenizer) throws {
    try settings.tokenizer.check(tokenizer)
    (self.settings, self.tokenizer) = (settings, tokenizer)
    limits = ImageLimits(pixels: settings.pixelLimit)
    let profile = try settings.preprocessing(as: Preprocessing.self)
    augmentation = settings.augment.flatMap { Augmentation($0) } ?? .none
    preprocessing = try augmentation.enlarging(profile)
    crop = profile.crop
    soft = try settings.soft.map { (try ProbabilityMap(parsing: $0.map), $0.temperature) }
    if settings.soft != nil || settings.sampling != nil {
      try tokenizer.quantizer.checkSoftCodes()
    }
    scheme = try PositionScheme.Name(rawValue: settings.positions).map { try PositionScheme($0) }
  }

  /// Makes a sample of one input.
  ///
  /// - Throws: Where this machine, not the input, is at fault: the run must stop and may be
  ///   continued.
  @concurrent @Sendable
  package func sample(of input: PlannedInput) async throws -> SampleOutcome {
    var stage = Rejection.Stage.read
    do {
      let (bytes, hash) = try times.measure(.read) {
        let bytes = try read(input)
        return (bytes, FileDigest.sha256(of: bytes))
      }
      stage = .decode
      let pixels = try times.measure(.pixels) {
        try LibraryCrash.naming(input.image.source, library: .image) {
          try preprocessing.image(from: bytes, limits: limits)
        }
      }
      stage = .encode
      let views = augmentation.views(of: pixels.image, crop: crop)
      let latents = try times.measure(.network) {
        try views.map { try tokenizer.latents(of: $0) }
      }
      return .sample(
        try times.measure(.quantizer) {
          try sample(of: latents, pixels, input, sha256: hash)
        }
      )
    } catch let error as TesseraError {
      if error.isMachineFault { throw error }
      return .rejected(input.image.rejection(stage, error))
    }
  }

  /// What a dataset keeps of the latents of a picture's views.
  private func sample(
    of latents: [LatentGrid],
    _ pixels: PreprocessedImage,
    _ input: PlannedInput,
    sha256: String
  ) throws -> TokenSample {
    let encoded = try encode(latents, of: input.image)
    let grid = encoded.grid
    let segments = tokenizer.quantizer.segments(height: grid.height, width: grid.width)
    let positions = try scheme?.positions(of: segments)
    var sample = TokenSample(
      image: input.image,
      sha256: sha256,
      pixels: pixels,
      encoded: encoded,
      vocabularySize: settings.tokenizer.vocabularySize,
      vocabularyOffset: settings.vocabularyOffset,
      positions: positions?.tensor,
      keepsLatents: settings.latents,
      caption: input.caption
    )
    sample.soft = try soft.map {
      try tokenizer.quantizer.softCodes(
        encoded.latents.values,
        map: $0.map,
        temperature: $0.temperature
      )
    }
    return sample
  }

  /// The best codes of all views, or drawn ones of one.
  private func encode(_ views: [LatentGrid], of image: ImageInput) throws -> EncodedImage {
    let encoded = try tokenizer.quantize(views: views)
    guard let sampling = settings.sampling, views.count == 1 else { return encoded }
    let latents = encoded.latents
    // The key is the sample's own in every run, whichever other images there are.
    let key = FileDigest.sha256(of: Array(image.key.utf8)).prefix(16)
    let random = CounterRandom(seed: sampling.seed, sample: UInt64(key, radix: 16) ?? 0)
    let codes = try tokenizer.quantizer.draw(
      latents.values,
      temperature: sampling.temperature,
      random: random
    )
    let grid = encoded.grid
    return EncodedImage(
      grid: CodeGrid(height: grid.height, width: grid.width, shape: grid.shape, codes: codes),
      latents: latents,
      margins: encoded.margins
    )
  }

  private func read(_ input: PlannedInput) throws -> [UInt8] {
    let bytes = try input.image.bytes(maximumBytes: limits.bytes)
    // The plan's digest covers the size: another file would make this another dataset.
    guard bytes.count == input.size else {
      throw TesseraError(
        .inputOutput,
        "\(bytes.count) bytes, not the \(input.size.map(String.init) ?? "unknown number") of the plan: it "
          + "changed meanwhile; put it back, or tokenize into a new folder",
        file: input.image.source
      )
    }
    return bytes
  }
}

extension TokenizerIdentity {
  /// The identity of a tokenizer.
  ///
  /// - Throws: Where its quantizer has no JSON form.
  public init(_ tokenizer: ImageTokenizer) throws {
    try self.init(
      name: tokenizer.description.name,
      family: tokenizer.description.family.rawValue,
      sha256: tokenizer.sha256,
      vocabularySize: tokenizer.vocabularySize,
      quantizer: tokenizer.description.quantizer
    )
  }

  /// Checks that a tokenizer is this one.
  ///
  /// - Throws: `TesseraError` where its weights or its rules differ.
  public func check(_ tokenizer: ImageTokenizer) throws {
    let found = try TokenizerIdentity(tokenizer)
    guard self != found else { return }
    throw TesseraError.mismatch(
      "sha256 \(found.sha256.prefix(12))… where the dataset was made by \(name), "
        + "sha256 \(sha256.prefix(12))…; name that tokenizer with --tokenizer",
      file: found.name
    )
  }
}
