import Foundation

extension RGBImage {
  /// The peak signal-to-noise ratio against a picture of the same size, in decibels.
  ///
  /// 10 log₁₀(255² / mean squared difference) over all three channels; infinity for equal pictures.
  public func peakSignalToNoise(against other: RGBImage) -> Double {
    precondition(width == other.width && height == other.height, "the pictures have one size")
    var squares = 0
    for (left, right) in zip(pixels, other.pixels) {
      let difference = Int(left) - Int(right)
      squares += difference * difference
    }
    return 10 * log10(255 * 255 * Double(pixels.count) / Double(squares))
  }
}
