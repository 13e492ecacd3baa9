import ArgumentParser
import Foundation
import TesseraCore
import TesseraDatasets
import TesseraImages
import TesseraSequences
import TesseraTokenizers

/// `tessera-bench tokenize`: images to shards on one core, a stage at a time.
struct BenchTokenizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Measure tokenize on one core: images per second, and the share of every stage.",
    discussion: """
      Every figure is processor time, the median over rounds. A JPEG is decoded and resized in one \
      pass; its time is divided as decoding whole and resizing apart divide theirs. Images that \
      cannot be read are left out.

      EXAMPLE: tessera-bench tokenize fixtures/photos --rounds 9
      """
  )

  @Argument(help: "Folders, files, lists or archives.", completion: .file())
  var inputs: [String]

  @Option(help: "How often each file is processed, after once that is not measured.")
  var rounds = 5

  @Option(help: "The tokenizer.", completion: .file())
  var tokenizer = ImageTokenizer.embeddedName

  func validate() throws {
    guard rounds > 0 else { throw ValidationError("--rounds is a positive number") }
  }

  func run() async throws {
    let tokenizer = try ImageTokenizer(opening: tokenizer)
    let bench = TokenizeStages(tokenizer: tokenizer)
    let images = try ImageInputs.collect(inputs).inputs.filter { bench.isReadable($0) }
    guard !images.isEmpty else { throw ValidationError("none of the images can be read") }
    var measured: [[Stage: Double]] = []
    for round in 0...rounds {
      let times = try bench.measure(images)
      if round > 0 { measured.append(times) }
    }
    let medians = Dictionary(
      uniqueKeysWithValues: Stage.allCases.map { stage in
        (stage, measured.map { $0[stage] ?? 0 }.sorted()[rounds / 2])
      }
    )
    try report(medians, images: images.count)
  }

  private func report(_ medians: [Stage: Double], images: Int) throws {
    let total = medians.values.reduce(0, +)
    let figures = TokenizeFigures(
      images: images,
      rounds: rounds,
      imagesPerSecond: Double(images) / total,
      millisecondsPerImage: named(medians) { $0 * 1000 / Double(images) },
      shares: named(medians) { $0 / total }
    )
    Figures.note(
      "tokenize: \(Measurement.rounded(figures.imagesPerSecond, places: 1)) images/s on one core, "
        + "\(images) images"
    )
    for stage in Stage.allCases {
      let milliseconds = figures.millisecondsPerImage[stage.rawValue] ?? 0
      let share = (figures.shares[stage.rawValue] ?? 0) * 100
      Figures.note(
        "  \(stage.rawValue): \(Measurement.rounded(milliseconds, places: 3)) ms, "
          + "\(Measurement.rounded(share, places: 1))%"
      )
    }
    try Figures.report(figures)
  }

  private func named(
    _ medians: [Stage: Double],
    _ value: (Double) -> Double
  ) -> [String: Double] {
    Dictionary(uniqueKeysWithValues: medians.map { ($0.key.rawValue, value($0.value)) })
  }
}

/// The stages of an image's way, as issue and README name them.
private enum Stage: String, CaseIterable {
  case read, decode, resize, network, quantizer, writing
}

/// What `tessera-bench tokenize --json` prints.
private struct TokenizeFigures: Encodable {
  let images: Int
  let rounds: Int
  let imagesPerSecond: Double
  let millisecondsPerImage: [String: Double]
  let shares: [String: Double]

  enum CodingKeys: String, CodingKey {
    case images, rounds, shares
    case imagesPerSecond = "images_per_second"
    case millisecondsPerImage = "milliseconds_per_image"
  }
}

/// One pass over the images, each stage with its own clock.
private struct TokenizeStages {
  let tokenizer: ImageTokenizer
  private let limits = ImageLimits.standard
  private var profile: Preprocessing { tokenizer.description.preprocessing }

  init(tokenizer: ImageTokenizer) { self.tokenizer = tokenizer }

  func isReadable(_ input: ImageInput) -> Bool {
    guard let bytes = try? input.bytes(maximumBytes: limits.bytes) else { return false }
    return (try? profile.image(from: bytes)) != nil
  }

  /// Processor seconds of each stage over all images.
  func measure(_ images: [ImageInput]) throws -> [Stage: Double] {
    var times: [Stage: Double] = [:]
    func clock<Result>(_ stage: Stage, _ body: () throws -> Result) rethrows -> Result {
      let start = Measurement.cpuSeconds()
      defer { times[stage, default: 0] += Measurement.cpuSeconds() - start }
      return try body()
    }
    let scheme = try PositionScheme(.tie)
    let folder = NSTemporaryDirectory() + "/tessera-bench-\(UUID().uuidString)"
    try OutputFolder.make(folder + "/shards")
    defer { try? OutputFolder.remove(folder) }
    var shard = try WebDatasetShard(name: DatasetShard.name(of: 0), in: folder)
    for image in images {
      let (bytes, hash) = try clock(.read) {
        let bytes = try image.bytes(maximumBytes: limits.bytes)
        return (bytes, FileDigest.sha256(of: bytes))
      }
      let pixels = try pixels(of: bytes, times: &times)
      let latents = try clock(.network) { try tokenizer.latents(of: pixels.image) }
      let (encoded, positions) = try clock(.quantizer) {
        let encoded = try tokenizer.quantize(latents)
        let grid = encoded.grid
        return (encoded, try scheme.positions(forImageHeight: grid.height, width: grid.width))
      }
      try clock(.writing) {
        let sample = TokenSample(
          image: image,
          sha256: hash,
          pixels: pixels,
          encoded: encoded,
          vocabularySize: tokenizer.vocabularySize,
          positions: positions.tensor
        )
        try shard.append(sample)
      }
    }
    let start = Measurement.cpuSeconds()
    _ = try shard.commit()
    times[.writing, default: 0] += Measurement.cpuSeconds() - start
    return times
  }

  /// The pixels in one pass, its time divided as the two steps apart divide theirs.
  private func pixels(
    of bytes: [UInt8],
    times: inout [Stage: Double]
  ) throws -> PreprocessedImage {
    let decoder = ImageDecoder(
      limits: limits,
      alpha: profile.alpha,
      truncation: profile.truncation
    )
    let start = Measurement.cpuSeconds()
    let decoded = try decoder.decode(bytes)
    let middle = Measurement.cpuSeconds()
    _ = try profile.apply(to: decoded, limits: limits)
    let end = Measurement.cpuSeconds()
    let pixels = try profile.image(from: bytes, limits: limits)
    let fused = Measurement.cpuSeconds() - end
    let decodeShare = (middle - start) / max(end - start, 1e-9)
    times[.decode, default: 0] += fused * decodeShare
    times[.resize, default: 0] += fused * (1 - decodeShare)
    return pixels
  }
}
