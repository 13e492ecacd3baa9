public import TesseraCore

/// The sizes that a picture will take on its way, known from its header.
public struct PreprocessedSizes: Hashable, Sendable {
  /// The size as stored.
  public let original: ImageSize
  /// The size after orientation and resizing.
  public let resized: ImageSize
  /// The part that is kept, in pixels of the resized picture.
  public let crop: PixelBox
  /// The size that the network sees.
  public let canvas: ImageSize
}

extension Preprocessing {
  /// What the profile does to the size of a picture, without its pixels.
  ///
  /// - Throws: An `TesseraError` where the picture does not fit the rules, or a size passes the limits.
  public func sizes(
    for header: ImageHeader,
    limits: ImageLimits = .standard
  ) throws(TesseraError) -> PreprocessedSizes {
    let limits = limits.scaled(to: header)
    let turns = orientation == .apply && header.orientation.swapsSides
    let size =
      turns ? ImageSize(width: header.size.height, height: header.size.width) : header.size
    let plan = try resize.plan(for: size)
    let box = try crop.box(in: plan.size)
    let canvas = pad.canvas(for: box.size)
    for step in plan.steps.map(\.size) + [canvas] where step.pixels > limits.pixels {
      throw TesseraError.picture(
        .overLimit,
        "resizing to \(step) passes the limit of \(limits.pixels) pixels"
      )
    }
    return PreprocessedSizes(
      original: header.size,
      resized: plan.size,
      crop: box,
      canvas: canvas
    )
  }
}
