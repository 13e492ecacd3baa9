/// How a byte becomes the float32 that a network reads: a table of 256 values.
///
/// The spellings are formulas; formulas that agree on paper differ by one unit in the last place here.
public enum PixelRange: String, Hashable, Sendable, Codable, CaseIterable {
  /// [-1, 1] in float64, rounded once: taming, LDM, IBQ, Emu3.5.
  case symmetric = "x/127.5-1"
  /// [-1, 1] in float32, as torchvision's ToTensor and Normalize(0.5, 0.5): LlamaGen, Emu3, 4M.
  case normalized = "(x/255-.5)/.5"
  /// [-1, 1] in float64, rounded once: Chameleon, Cosmos.
  case doubled = "x/255*2-1"
  /// [0, 1] in float32: aMUSEd, MaskGIT, TiTok.
  case unit = "x/255"
  /// [0.1, 0.9] in float32: the dVAE of DALL-E.
  case logitLaplace = ".8x+.1"

  /// The value of each byte.
  public var table: [Float] { (0...255).map(value) }

  private func value(_ byte: Int) -> Float {
    let single = Float(byte) / 255
    return switch self {
    case .symmetric: Float(Double(byte) / 127.5 - 1)
    case .normalized: (single - 0.5) / 0.5
    case .doubled: Float(Double(byte) / 255 * 2 - 1)
    case .unit: single
    case .logitLaplace: 0.8 * single + 0.1
    }
  }
}
