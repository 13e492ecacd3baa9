import TesseraCore
package import TesseraImages
package import TesseraTokenizers

/// The way back: codes of a sample to pixels, compared with the original where there is one.
package struct DatasetDecoding: Sendable {
  /// How a reconstruction compares with its original.
  package enum Comparison: Sendable, Hashable {
    /// No originals were named.
    case none
    /// The peak signal-to-noise ratio in decibels; infinity for equal pictures.
    case decibels(Double)
    /// There is no such file, or it cannot be read any more: the reason in one line.
    case unavailable(String)
  }

  /// One sample decoded.
  package struct Picture: Sendable {
    /// The sample's key.
    package let key: String
    /// What the codes stand for.
    package let reconstruction: RGBImage
    /// What the encoder saw.
    package let original: RGBImage?
    /// How they compare.
    package let comparison: Comparison
  }

  /// The most pixels of one reconstruction, as of one image that is read.
  private static let mostPixels = ImageLimits.standard.pixels

  private let settings: DatasetSettings
  private let tokenizer: ImageTokenizer
  private let preprocessing: Preprocessing
  private let augmentation: Augmentation
  private let crop: CropRule
  private let originals: Originals?

  /// Prepares for a dataset.
  ///
  /// - Parameters:
  ///   - settings: What its manifest says.
  ///   - tokenizer: The tokenizer that the settings name.
  ///   - originals: The folder below which the sources lie, or all that was tokenized; empty to compare
  ///     nothing.
  /// - Throws: `TesseraError` where the tokenizer is another one.
  package init(
    settings: DatasetSettings,
    tokenizer: ImageTokenizer,
    originals: [String]
  ) throws {
    try settings.tokenizer.check(tokenizer)
    self.settings = settings
    self.tokenizer = tokenizer
    self.originals = originals.isEmpty ? nil : try Originals(originals)
    let profile = try settings.preprocessing(as: Preprocessing.self)
    augmentation = settings.augment.flatMap { Augmentation($0) } ?? .none
    preprocessing = try augmentation.enlarging(profile)
    crop = profile.crop
  }

  /// Decodes one sample; of several views the first.
  ///
  /// - Throws: `TesseraError` where its codes are damaged.
  @concurrent @Sendable
  package func picture(of sample: CodedSample) async throws -> Picture {
    let reconstruction = try tokenizer.decode(grid(of: sample))
    guard let originals else {
      return Picture(
        key: sample.key,
        reconstruction: reconstruction,
        original: nil,
        comparison: .none
      )
    }
    do {
      let original = try original(of: sample, in: originals)
      guard original.width == reconstruction.width, original.height == reconstruction.height else {
        throw TesseraError.malformed("the original has another size", file: sample.key)
      }
      return Picture(
        key: sample.key,
        reconstruction: reconstruction,
        original: original,
        comparison: .decibels(reconstruction.peakSignalToNoise(against: original))
      )
    } catch let error as TesseraError {
      // An original that is not there is a finding; one that cannot be read now is none.
      if error.isMachineFault, !error.isAboutPath { throw error }
      return Picture(
        key: sample.key,
        reconstruction: reconstruction,
        original: nil,
        comparison: .unavailable("\(error)")
      )
    }
  }

  /// The codes of a sample as the tokenizer gave them.
  private func grid(of sample: CodedSample) throws -> CodeGrid {
    let tensor = sample.codes
    guard (1...3).contains(tensor.shape.rank), let values = tensor.unsignedElements else {
      throw refusal(
        of: sample,
        "\(tensor.elementType.rawValue) \(tensor.shape) is no unsigned [h, w], [h, w, n] or [tokens]"
      )
    }
    // Codes of a whole picture do not say the size of its grid.
    let isViews = augmentation.count > 1
    let extents =
      tensor.shape.rank == 1 || isViews
      ? try sample.describe().grid : Array(tensor.shape.dimensions.prefix(2))
    // One factor at a time: a file may state any shape whose product fits its size.
    let most = Self.mostPixels / (tokenizer.stride * tokenizer.stride)
    guard extents.count == 2, extents[0] > 0, extents[1] > 0, !values.isEmpty,
      extents[0] <= most, extents[1] <= most / extents[0]
    else { throw refusal(of: sample, "a grid of \(extents) is too large or empty") }
    let (height, width) = (extents[0], extents[1])
    let codes = try values.map { try code($0, of: sample) }
    guard isViews else {
      return CodeGrid(height: height, width: width, shape: tensor.shape.dimensions, codes: codes)
    }
    let shape = try tokenizer.quantizer.codeShape(height: height, width: width)
    let count = shape.reduce(1, *)
    guard tensor.shape.rank == 2, tensor.shape[1] == count, codes.count >= count else {
      throw refusal(of: sample, "\(tensor.shape) is not [views, \(count)]")
    }
    let first = Array(codes.prefix(count))
    return CodeGrid(height: height, width: width, shape: shape, codes: first)
  }

  /// A stored code without the dataset's offset.
  private func code(_ value: UInt64, of sample: CodedSample) throws -> UInt32 {
    let offset = UInt64(settings.vocabularyOffset)
    guard value >= offset, value - offset < UInt64(tokenizer.vocabularySize) else {
      throw refusal(of: sample, "the code \(value) is outside the vocabulary")
    }
    return UInt32(value - offset)
  }

  private func refusal(of sample: CodedSample, _ reason: String) -> TesseraError {
    TesseraError.malformed(reason, file: "\(sample.key): codes")
  }

  private func original(
    of sample: CodedSample,
    in originals: Originals
  ) throws -> RGBImage {
    let description = try sample.describe()
    let source = description.source
    let bytes = try originals.image(of: sample.key, source: source)
      .bytes(maximumBytes: ImageLimits.standard.bytes)
    guard FileDigest.sha256(of: bytes) == description.sha256 else {
      throw TesseraError.malformed("another file than the one that was tokenized", file: source)
    }
    let image = try LibraryCrash.naming(source, library: .image) {
      try preprocessing.image(from: bytes).image
    }
    return augmentation.views(of: image, crop: crop)[0]
  }
}

extension Tensor {
  /// The elements of an unsigned tensor, or nil for another type.
  var unsignedElements: [UInt64]? {
    guard [.uint8, .uint16, .uint32, .uint64].contains(elementType) else { return nil }
    let width = elementType.bitWidth / 8
    return stride(from: 0, to: bytes.count, by: width).map { start in
      bytes[start..<start + width].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
  }
}
