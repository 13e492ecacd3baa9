/// How a byte becomes the float32 that a network reads: a table of 256 values per channel.
///
/// The names are formulas; formulas that agree on paper differ by one unit in the last place here.
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
  /// [-1, 0.989]: Transformers' Chameleon on Pillow, which multiplies by 0.0078 in float64, rounds, and subtracts
  /// 1 in float32.
  case chameleonPort = "x*.0078-1"
  /// Means and deviations of CLIP's training images in float32: Transformers' Emu3 without its hub's settings.
  case clip = "(x/255-mean)/std"

  /// The value of each byte of the red channel, in most ranges of any.
  public var table: [Float] { table(channel: 0) }

  /// The value of each byte of a channel: 0 for red, 1 for green, 2 for blue.
  public func table(channel: Int) -> [Float] { (0...255).map { value($0, channel) } }

  private static let means: [Float] = [0.48145466, 0.4578275, 0.40821073]
  private static let deviations: [Float] = [0.26862954, 0.26130258, 0.27577711]

  /// The bytes nearest to a decoder's values, channels last, half to even, cut off at 0 and 255; a value that
  /// is no number becomes 0.
  public func bytes(of values: [Float]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: values.count)
    for (index, value) in values.enumerated() {
      let scaled: Float =
        switch self {
        case .symmetric, .normalized, .doubled: (value + 1) * 127.5
        case .unit: value * 255
        case .logitLaplace: (value - 0.1) / 0.8 * 255
        case .chameleonPort: (value + 1) / 0.0078
        case .clip: (value * Self.deviations[index % 3] + Self.means[index % 3]) * 255
        }
      let rounded = scaled.rounded(.toNearestOrEven)
      if rounded > 0 { bytes[index] = UInt8(min(rounded, 255)) }
    }
    return bytes
  }

  private func value(_ byte: Int, _ channel: Int) -> Float {
    let single = Float(byte) / 255
    return switch self {
    case .symmetric: Float(Double(byte) / 127.5 - 1)
    case .normalized: (single - 0.5) / 0.5
    case .doubled: Float(Double(byte) / 255 * 2 - 1)
    case .unit: single
    case .logitLaplace: 0.8 * single + 0.1
    case .chameleonPort: Float(Double(byte) * 0.0078) - 1
    case .clip:
      // Transformers rescales in float64, rounds, and normalizes in float32.
      (Float(Double(byte) * (1 / 255)) - Self.means[channel]) / Self.deviations[channel]
    }
  }
}
