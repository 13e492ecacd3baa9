import ArgumentParser
import Foundation
import TesseraImages

/// Measures the way from encoded bytes to a network's input.
struct BenchImagesCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "images",
    abstract:
      "Measure decode, resize, crop and table on one core: the bytes of each file to a tensor.",
    discussion: """
      Prints the median over rounds of processor milliseconds an image. scripts/bench_images.py runs it in turns \
      with Pillow and OpenCV over the same files.

      EXAMPLE: tessera-bench images fixtures/photos --rounds 9
      """
  )

  @Argument(help: "Folders, files, lists or archives.", completion: .file())
  var inputs: [String]

  @Option(help: "How often each file is processed.")
  var rounds = 5

  @Option(help: "Whether Exif orientation is applied: ignore or apply.")
  var orientation = Preprocessing.tesseraF8.orientation

  func validate() throws {
    guard rounds > 0 else { throw ValidationError("--rounds is a positive number") }
  }

  func run() async throws {
    var profile = Preprocessing.tesseraF8
    profile.orientation = orientation
    let table = profile.range.table
    let limits = ImageLimits.standard
    let files = try ImageInputs.collect(inputs).inputs.map {
      try $0.bytes(maximumBytes: limits.bytes)
    }
    var tensor: [Float] = []
    var rates: [Double] = []
    for _ in 0...rounds {
      let start = Measurement.cpuSeconds()
      for bytes in files {
        let image = try profile.image(from: bytes, limits: limits).image
        tensor.removeAll(keepingCapacity: true)
        tensor.reserveCapacity(image.pixels.count)
        for value in image.pixels { tensor.append(table[Int(value)]) }
      }
      rates.append((Measurement.cpuSeconds() - start) * 1000 / Double(files.count))
    }
    // The first round warms the caches.
    let median = rates.dropFirst().sorted()[rounds / 2]
    Figures.note("images: \(Measurement.rounded(median)) ms an image, \(files.count) images")
    try Figures.report(
      ImagesFigures(images: files.count, rounds: rounds, millisecondsPerImage: median)
    )
  }
}

private struct ImagesFigures: Encodable {
  let images: Int
  let rounds: Int
  let millisecondsPerImage: Double
}
