extension AlphaRule {
  /// Applies the rule to decoded pixels, of which each fourth byte is the alpha value.
  ///
  /// - Parameters:
  ///   - pixels: Four bytes each.
  ///   - count: The number of bytes.
  ///   - hasAlpha: Whether the picture has more than a transparent color.
  func lay(_ pixels: UnsafeMutablePointer<UInt8>, count: Int, hasAlpha: Bool) {
    switch self {
    case .drop: break
    case .onWhite: if hasAlpha { unsafe Self.layOnWhite(pixels, count: count, Self.blended) }
    case .composited: unsafe Self.layOnWhite(pixels, count: count, Self.composited)
    }
  }

  private static func layOnWhite(
    _ pixels: UnsafeMutablePointer<UInt8>,
    count: Int,
    _ rule: (_ value: UInt8, _ alpha: UInt8) -> UInt8
  ) {
    for pixel in stride(from: 0, to: count, by: 4) where unsafe pixels[pixel + 3] != 255 {
      let alpha = unsafe pixels[pixel + 3]
      for channel in pixel..<(pixel + 3) {
        unsafe pixels[channel] = rule(pixels[channel], alpha)
      }
    }
  }

  /// Chameleon's rule: (1 - a) 255 + a v in float64 with a = alpha / 255, then cut to an integer.
  private static func blended(_ value: UInt8, _ alpha: UInt8) -> UInt8 {
    let alpha = Double(alpha) / 255
    return UInt8((1 - alpha) * 255 + alpha * Double(value))
  }

  /// Pillow's `alpha_composite` on opaque white: the same in integers, rounded.
  private static func composited(_ value: UInt8, _ alpha: UInt8) -> UInt8 {
    let sum = Int(alpha) * Int(value) + 255 * (255 - Int(alpha))
    return UInt8((2 * sum + 255) / 510)
  }
}
