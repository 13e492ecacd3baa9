internal import Foundation
import TesseraCore
import TesseraDatasets
import TesseraImages

extension FuzzTarget {
  /// The decoders of images, and archives of images.
  static let images: [FuzzTarget] =
    ImageFormat.allCases.map { format in
      FuzzTarget(name: format.rawValue, form: .file("input.\(format.rawValue)"), read: decode)
    } + [archive]

  private static let archive =
    FuzzTarget(name: "tar", form: .file("input.tar")) { path in
      let inputs = try ImageInputs.collect([path]).inputs
      let captions = try CaptionSource.sidecar.captions(of: inputs)
      for (index, input) in inputs.prefix(16).enumerated() {
        try refusing {
          _ = try captions.caption(of: input, at: index)
          _ = try input.bytes(maximumBytes: 1 << 20)
          _ = try input.header(limits: smallImages)
        }
      }
    }

  /// Pictures that decode in the time of a run: the limits themselves have tests of their own.
  private static let smallImages = ImageLimits(pixels: 1 << 18)

  @Sendable
  private static func decode(_ path: String) throws {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    let rules: [(AlphaRule, TruncationRule)] = [
      (.drop, .refuse), (.onWhite, .partialRows), (.composited, .partialRows),
    ]
    var failure: TesseraError?
    for (alpha, truncation) in rules {
      let decoder = ImageDecoder(limits: smallImages, alpha: alpha, truncation: truncation)
      do throws(TesseraError) {
        _ = try decoder.decode(bytes)
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }
}
