import TesseraCore

/// `smart_resize` as models are released, by name, or by its numbers.
package struct SmartResizeChoice {
  package let rule: SmartResize
  /// Pixels per token, after patches are merged.
  package let stride: Int
  /// Pixels per patch: what `image_grid_thw` counts.
  package let patch: Int

  /// Names with factor, fewest and most pixels, patch, variant: the defaults of transformers' image
  /// processors and of the released configurations.
  private static let named: [(String, Int, Int, Int, Int, SmartResize.Variant)] = [
    ("qwen2-vl", 28, 56 * 56, 28 * 28 * 1280, 14, .standard),
    ("qwen2.5-vl", 28, 56 * 56, 28 * 28 * 16384, 14, .standard),
    ("qwen3-vl", 32, 256 * 256, 4096 * 4096, 16, .standard),
    ("emu3", 8, 512 * 512, 1024 * 1024, 8, .standard),
    ("glm4v", 28, 112 * 112, 28 * 28 * 2 * 6144, 14, .glm4v),
    ("paddleocr", 28, 384 * 384, 1536 * 1536, 14, .paddleOCR),
    ("glm-image", 16, 512 * 512, 2048 * 2048, 16, .glmImage),
  ]

  /// Reads a name, or `FACTOR/MIN/MAX[:VARIANT]`.
  package init?(argument: String) {
    if let (_, factor, minimum, maximum, patch, variant) = Self.named.first(where: {
      $0.0 == argument
    }) {
      guard
        let rule = SmartResize(factor: factor, minimum: minimum, maximum: maximum, variant: variant)
      else { return nil }
      self.rule = rule
      stride = factor
      self.patch = patch
    } else {
      guard case .smart(_, let rule)? = ResizeRule("bicubic:smart=\(argument)") else { return nil }
      self.rule = rule
      stride = rule.factor
      patch = rule.factor
    }
  }

  /// The names.
  package static var allValueStrings: [String] { named.map(\.0) }
}
