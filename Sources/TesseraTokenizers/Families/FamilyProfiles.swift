internal import TesseraImages

extension FamilyEntry.Profile {
  /// The short side of 256 pixels, the middle 256 x 256: torchvision's Resize and CenterCrop on Pillow.
  static func imageNet(
    _ filter: ResamplingFilter,
    range: PixelRange = .symmetric
  ) -> Self {
    Self(
      "torchvision's Resize and CenterCrop",
      .center(256, .torchvision, of: .short(filter, 256, .torchvision), range: range)
    )
  }

  static let chameleon = Self(
    "Meta's image tokenizer",
    .center(512, .floor, of: .short(.lanczos, 512, .rounded), alpha: .onWhite, range: .doubled)
  )

  static let tamingEvaluation = Self(
    "taming-transformers' evaluation (albumentations, OpenCV)",
    .center(256, .floor, of: .short(.openCVLinear, 256, .rounded), range: .symmetric)
  )

  static let transformersJanus = Self(
    name: "hf",
    "Transformers' JanusImageProcessor and JanusVQVAE, which does not normalize latents",
    rule: .codebook(.l2, "quantize.embedding.weight"),
    Preprocessing(resize: .long(.bicubic, 384, least: 14), pad: .square(127), range: .normalized)
  )

  static let transformersChameleon = Self(
    name: "hf",
    "Transformers' ChameleonImageProcessor on Pillow",
    .center(
      512,
      .floor,
      of: .short(.lanczos, 512, .torchvision),
      alpha: .composited,
      range: .chameleonPort
    )
  )

  /// Multiples of 8, from 512² to 1024² pixels.
  private static func emu3Size(_ variant: SmartResize.Variant) -> ResizeRule {
    SmartResize(factor: 8, minimum: 512 * 512, maximum: 1024 * 1024, variant: variant)
      .map { ResizeRule.smart(.bicubic, $0) } ?? .none
  }

  static let emu3 = Self(
    "BAAI's image processor",
    Preprocessing(
      resize: emu3Size(.emu3),
      range: .normalized
    )
  )

  static let transformersEmu3 = Self(
    name: "hf",
    "Transformers' Emu3ImageProcessor with its own defaults",
    Preprocessing(
      resize: emu3Size(.standard),
      alpha: .composited,
      range: .clip
    )
  )

  static let transformersFLAVA = Self(
    name: "hf",
    "Transformers' FlavaImageProcessor on Pillow, as BEiT's 112 pixels",
    Preprocessing(
      resize: .exact(.lanczos, ImageSize(width: 112, height: 112)),
      range: .logitLaplace
    )
  )

  static let finiteScalar = Self(
    "Su's loader (OpenCV)",
    Preprocessing(resize: .square(.openCVLinear, 128, .up), range: .normalized)
  )
}

extension Preprocessing {
  /// The middle of a resized picture, a square of so many pixels.
  static func center(
    _ side: Int,
    _ place: CropRule.Place,
    of resize: ResizeRule,
    alpha: AlphaRule = .drop,
    range: PixelRange
  ) -> Preprocessing {
    let size = ImageSize(width: side, height: side)
    return Preprocessing(
      resize: resize,
      crop: .center(size, place),
      alpha: alpha,
      range: range
    )
  }
}
