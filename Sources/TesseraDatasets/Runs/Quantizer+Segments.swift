package import TesseraSequences
package import TesseraTokenizers

extension Quantizer {
  /// What position schemes see of an image of `height` x `width` positions: one image, or one for each scale.
  package func segments(height: Int, width: Int) -> [Segment] {
    guard case .multiScale(let quantizer) = self else {
      return [.image(height: height, width: width)]
    }
    return quantizer.scales.map { .image(height: $0, width: $0) }
  }
}
