import TesseraCore

/// Which part of the resized picture is kept.
///
/// Spellings: `none`; `center:HxW`, whose place is rounded down, `(side - kept) // 2` (LlamaGen,
/// Chameleon); `center:HxW:torchvision`, whose place is Python's `round((side - kept) / 2)`, half to even.
public enum CropRule: TextRule {
  case none
  case center(ImageSize, Place)

  /// Where the larger half of an odd remainder goes.
  public enum Remainder: Sendable {
    /// Behind the kept part: `(side - kept) // 2`.
    case down
    /// Before it: `(side - kept + 1) // 2`.
    case up
  }

  /// How an odd remainder is split.
  public enum Place: Sendable {
    /// `(side - kept) // 2`.
    case floor
    /// `int(round((side - kept) / 2.0))`, half to even.
    case torchvision
  }

  /// What messages call it.
  public static let noun = "crop rule"
  /// The accepted forms, for messages.
  public static let grammar = "none or center:HxW[:torchvision]"

  /// Reads one of the forms above.
  public init?(_ text: String) {
    if text == "none" {
      self = .none
      return
    }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2 || parts.count == 3, parts[0] == "center",
      let (height, width) = positives(parts[1], separator: "x"),
      parts.count == 2 || parts[2] == "torchvision"
    else { return nil }
    let size = ImageSize(width: width, height: height)
    self = .center(size, parts.count == 2 ? .floor : .torchvision)
  }

  /// The rule as text.
  public var description: String {
    switch self {
    case .none: "none"
    case .center(let size, .floor): "center:\(size.height)x\(size.width)"
    case .center(let size, .torchvision): "center:\(size.height)x\(size.width):torchvision"
    }
  }

  /// The kept part of a picture of `size`.
  func box(in size: ImageSize) throws(TesseraError) -> PixelBox {
    switch self {
    case .none:
      return PixelBox(size: size)
    case .center(let kept, let place):
      guard kept.width <= size.width, kept.height <= size.height else {
        throw TesseraError.picture(
          .unfit,
          "\(size) pixels are too few for the crop \(description); resize to more first"
        )
      }
      switch place {
      case .floor:
        return size.centered(kept.width, kept.height)
      case .torchvision:
        func middle(_ rest: Int) -> Int { Int((Double(rest) / 2).rounded(.toNearestOrEven)) }
        return PixelBox(
          left: middle(size.width - kept.width),
          top: middle(size.height - kept.height),
          width: kept.width,
          height: kept.height
        )
      }
    }
  }
}

/// Whether a margin is added around the picture.
///
/// Spellings: `none`; a number, to multiples of which both sides grow in black (Cosmos); `square:GRAY`, to a
/// square in a gray of 0 to 255 (Transformers' Janus: `square:127`). The picture stands in the middle, the odd
/// row and column go to the bottom and the right.
public enum PadRule: TextRule {
  case none
  case multiple(Int)
  case square(UInt8)

  /// What messages call it.
  public static let noun = "pad rule"
  /// The accepted forms, for messages.
  public static let grammar = "none, a whole number, the multiple, or square:GRAY"

  /// Reads one of the forms above.
  public init?(_ text: String) {
    if text == "none" {
      self = .none
    } else if let multiple = positive(Substring(text)) {
      self = .multiple(multiple)
    } else if text.hasPrefix("square:"), let gray = UInt8(text.dropFirst("square:".count)),
      text == "square:\(gray)"
    {
      self = .square(gray)
    } else {
      return nil
    }
  }

  /// The rule as text.
  public var description: String {
    switch self {
    case .none: "none"
    case .multiple(let multiple): "\(multiple)"
    case .square(let gray): "square:\(gray)"
    }
  }

  /// What the margin's bytes are.
  var fill: UInt8 { if case .square(let gray) = self { gray } else { 0 } }

  /// The size after padding.
  func canvas(for size: ImageSize) -> ImageSize {
    switch self {
    case .none: return size
    case .multiple(let multiple):
      func grown(_ side: Int) -> Int { (side + multiple - 1) / multiple * multiple }
      return ImageSize(width: grown(size.width), height: grown(size.height))
    case .square:
      let side = max(size.width, size.height)
      return ImageSize(width: side, height: side)
    }
  }
}
