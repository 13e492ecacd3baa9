public import TesseraCore

/// The sizes that vision-language models and Emu3 choose for a picture: `smart_resize` of their image
/// processors, as transformers 5.23 has it.
///
/// Sides become multiples of a factor, rounded half to even; where the product leaves the range both
/// are scaled by one number and rounded down, or up. As text: `FACTOR/MIN/MAX[:VARIANT]`.
public struct SmartResize: Hashable, Sendable, CustomStringConvertible {
  /// What processors do beside that.
  public enum Variant: String, CaseIterable, Sendable {
    /// Qwen2-VL, Qwen2.5-VL, Qwen3-VL, Transformers' Emu3, Hunyuan: sides of more than 200 to 1 are refused.
    case standard
    /// Emu3's own: sides of more than 5 to 1, and sides below the factor, are refused.
    case emu3
    /// GLM-4V: small pictures are enlarged to the factor first; an image counts as two frames.
    case glm4v
    /// PaddleOCR-VL: a side below the factor becomes the factor first.
    case paddleOCR = "paddleocr"
    /// GLM-Image: half of the picture, scaled so that its sides lie between the roots of the two
    /// numbers; sides of more than 4 to 1 are refused.
    case glmImage = "glm-image"
  }

  /// What both sides are multiples of.
  public let factor: Int
  /// The fewest pixels.
  public let minimum: Int
  /// The most pixels.
  public let maximum: Int
  /// What is done beside.
  public let variant: Variant

  /// Creates a rule; all numbers from 1, the minimum at most the maximum.
  public init?(factor: Int, minimum: Int, maximum: Int, variant: Variant = .standard) {
    guard (1...1 << 16).contains(factor), minimum > 0, minimum <= maximum, maximum <= 1 << 40 else {
      return nil
    }
    (self.factor, self.minimum, self.maximum, self.variant) = (factor, minimum, maximum, variant)
  }

  /// Reads the numbers of a text, and the variant behind them.
  init?(numbers: Substring, variant: String?) {
    let parts = numbers.split(separator: "/", omittingEmptySubsequences: false).map(positive)
    guard parts.count == 3, let factor = parts[0], let minimum = parts[1], let maximum = parts[2]
    else { return nil }
    guard let variant = Variant(rawValue: variant ?? Variant.standard.rawValue) else { return nil }
    self.init(factor: factor, minimum: minimum, maximum: maximum, variant: variant)
  }

  /// The rule as text.
  public var description: String {
    "\(factor)/\(minimum)/\(maximum)" + (variant == .standard ? "" : ":\(variant.rawValue)")
  }

  /// The size of a picture of another size.
  ///
  /// - Throws: An `TesseraError` where the shape is refused.
  public func size(for size: ImageSize) throws(TesseraError) -> ImageSize {
    if variant == .glmImage { return try halved(size) }
    let (height, width) = try enlarged(size)
    let side = Double(factor)
    try check(height, width, limit: variant == .emu3 ? 5 : 200)
    let frames: Double = variant == .glm4v ? 2 : 1
    let (low, high) = (Double(minimum), Double(maximum))
    var newHeight = (height / side).rounded(.toNearestOrEven) * side
    var newWidth = (width / side).rounded(.toNearestOrEven) * side
    if frames * newHeight * newWidth > high {
      let beta = (frames * height * width / high).squareRoot()
      newHeight = max(side, (height / beta / side).rounded(.down) * side)
      newWidth = max(side, (width / beta / side).rounded(.down) * side)
    } else if frames * newHeight * newWidth < low {
      let beta = (low / (frames * height * width)).squareRoot()
      newHeight = (height * beta / side).rounded(.up) * side
      newWidth = (width * beta / side).rounded(.up) * side
    }
    return try whole(newHeight, newWidth)
  }

  /// The sides before they become multiples: small ones as the variant enlarges or refuses them.
  private func enlarged(
    _ size: ImageSize
  ) throws(TesseraError) -> (height: Double, width: Double) {
    var (height, width) = (Double(size.height), Double(size.width))
    let side = Double(factor)
    switch variant {
    case .standard, .glmImage: break
    case .emu3:
      guard size.short >= factor else {
        throw TesseraError.picture(
          .unfit,
          "\(size) pixels: a side is below \(factor), which Emu3 refuses"
        )
      }
    case .glm4v:
      if height < side || width < side {
        let scale = max(side / height, side / width)
        (height, width) = ((height * scale).rounded(.down), (width * scale).rounded(.down))
      }
    case .paddleOCR:
      if height < side {
        width = (width * side / height).rounded(.toNearestOrEven)
        height = side
      }
      if width < side {
        height = (height * side / width).rounded(.toNearestOrEven)
        width = side
      }
    }
    return (height, width)
  }

  private func halved(_ size: ImageSize) throws(TesseraError) -> ImageSize {
    guard size.short >= factor else {
      throw TesseraError.picture(.unfit, "\(size) pixels: a side is below \(factor)")
    }
    let (height, width, side) = (Double(size.height), Double(size.width), Double(factor))
    try check(height, width, limit: 4)
    let shortest = Double(minimum).squareRoot().rounded(.toNearestOrEven)
    let longest = Double(maximum).squareRoot().rounded(.toNearestOrEven)
    var scale = 1.0
    if min(height, width) < shortest { scale = shortest / min(height, width) }
    if max(height, width) * scale > longest { scale = longest / max(height, width) }
    func rounded(_ length: Int) -> Double {
      max(side, (Double(length / 2) * scale / side).rounded(.toNearestOrEven) * side)
    }
    var (newHeight, newWidth) = (rounded(size.height), rounded(size.width))
    let most = max(newHeight, newWidth)
    if most > longest {
      let beta = most / longest
      newHeight = max(side, (newHeight / beta / side).rounded(.down) * side)
      newWidth = max(side, (newWidth / beta / side).rounded(.down) * side)
    }
    return try whole(newHeight, newWidth)
  }

  private func check(_ height: Double, _ width: Double, limit: Double) throws(TesseraError) {
    guard max(height, width) / min(height, width) <= limit else {
      throw TesseraError.picture(
        .unfit,
        "sides of more than \(Int(limit)) to 1, which smart_resize refuses; crop the picture"
      )
    }
  }

  private func whole(_ height: Double, _ width: Double) throws(TesseraError) -> ImageSize {
    guard height >= 1, width >= 1, height < 1e9, width < 1e9 else {
      throw TesseraError.picture(.unfit, "smart_resize leaves no pixels; raise the minimum")
    }
    return ImageSize(width: Int(width), height: Int(height))
  }
}
