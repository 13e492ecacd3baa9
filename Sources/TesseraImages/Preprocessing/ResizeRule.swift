import TesseraCore

/// How a picture's size changes before it is cropped.
///
/// Spellings: `none`, or `FILTER:SIZE` with one of Pillow's filters and one of these sizes:
/// - `short=N`: the short side becomes N. Sides are Python's `round(side * (N / short))`, half to even
///   (Chameleon, LlamaGen).
/// - `short=N:torchvision`: the long side is `int(N * long / short)`, as torchvision's `Resize` (Show-o,
///   TiTok, Open-MAGVIT2).
/// - `exact=HxW`: both sides given, height first.
/// - `area=PIXELS/MULTIPLE`: about PIXELS in the same shape, each side rounded to a multiple (Emu3.5:
///   `bicubic:area=262144/16`).
/// - `adm=N`: halved with the box filter while the short side is at least 2N, then as `short=N`
///   with FILTER (guided-diffusion's `center_crop_arr`; LlamaGen, Janus).
/// - `square=N`: the largest centered square, cut out first, becomes N x N (LDM, 4M);
///   `square=N:ceil` rounds its place up (Su's FSQ).
/// - `floor=N`: each side is cut to a multiple of N (diffusers).
/// - `long=N` or `long=N:M`: the long side becomes N, the short one at least M (Transformers' Janus).
/// - `smart=FACTOR/MIN/MAX[:VARIANT]`: sides are multiples of FACTOR, pixels from MIN to MAX, the shape
///   about the same (``SmartResize``; Qwen2-VL: `bicubic:smart=28/3136/1003520`).
public enum ResizeRule: TextRule {
  case none
  case short(ResamplingFilter, Int, LongSide)
  case exact(ResamplingFilter, ImageSize)
  case area(ResamplingFilter, pixels: Int, multiple: Int)
  case halvings(ResamplingFilter, Int)
  case square(ResamplingFilter, Int, CropRule.Remainder = .down)
  case floor(ResamplingFilter, multiple: Int)
  case long(ResamplingFilter, Int, least: Int)
  case smart(ResamplingFilter, SmartResize)

  /// How the long side is rounded when the short one is given.
  public enum LongSide: Sendable {
    /// `round(long * (N / short))`, half to even.
    case rounded
    /// `int(N * long / short)`.
    case torchvision
  }

  /// What messages call it.
  public static let noun = "resize rule"
  /// The accepted forms, for messages.
  public static let grammar =
    "none or FILTER:short=N[:torchvision], exact=HxW, area=PIXELS/MULTIPLE, adm=N, square=N[:ceil], "
    + "floor=N, long=N[:LEAST] or smart=FACTOR/MIN/MAX[:VARIANT], with FILTER "
    + ResamplingFilter.allCases.map(\.rawValue).joined(separator: ", ")

  /// Reads one of the forms above.
  public init?(_ text: String) {
    if text == "none" {
      self = .none
      return
    }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2 || parts.count == 3,
      let filter = ResamplingFilter(rawValue: String(parts[0]))
    else { return nil }
    let size = parts[1].split(separator: "=", omittingEmptySubsequences: false)
    guard size.count == 2 else { return nil }
    let suffix = parts.count == 3 ? String(parts[2]) : nil
    self.init(filter: filter, size: String(size[0]), value: size[1], suffix: suffix)
  }

  private init?(filter: ResamplingFilter, size: String, value: Substring, suffix: String?) {
    switch (size, suffix) {
    case ("short", nil), ("short", "torchvision"):
      guard let side = positive(value) else { return nil }
      self = .short(filter, side, suffix == nil ? .rounded : .torchvision)
    case ("exact", nil):
      guard let (height, width) = positives(value, separator: "x") else { return nil }
      self = .exact(filter, ImageSize(width: width, height: height))
    case ("area", nil):
      guard let (pixels, multiple) = positives(value, separator: "/") else { return nil }
      self = .area(filter, pixels: pixels, multiple: multiple)
    case ("adm", nil):
      guard let side = positive(value) else { return nil }
      self = .halvings(filter, side)
    case ("square", nil):
      guard let side = positive(value) else { return nil }
      self = .square(filter, side)
    case ("square", "ceil"):
      guard let side = positive(value) else { return nil }
      self = .square(filter, side, .up)
    case ("floor", nil):
      guard let multiple = positive(value) else { return nil }
      self = .floor(filter, multiple: multiple)
    case ("long", _):
      guard let side = positive(value), let least = suffix.map({ positive(Substring($0)) }) ?? 1
      else { return nil }
      self = .long(filter, side, least: least)
    case ("smart", _):
      guard let rule = SmartResize(numbers: value, variant: suffix) else { return nil }
      self = .smart(filter, rule)
    default:
      return nil
    }
  }

  /// The rule as text.
  public var description: String {
    switch self {
    case .none: "none"
    case .short(let filter, let side, .rounded): "\(filter.rawValue):short=\(side)"
    case .short(let filter, let side, .torchvision): "\(filter.rawValue):short=\(side):torchvision"
    case .exact(let filter, let size): "\(filter.rawValue):exact=\(size.height)x\(size.width)"
    case .area(let filter, let pixels, let multiple):
      "\(filter.rawValue):area=\(pixels)/\(multiple)"
    case .halvings(let filter, let side): "\(filter.rawValue):adm=\(side)"
    case .square(let filter, let side, .down): "\(filter.rawValue):square=\(side)"
    case .square(let filter, let side, .up): "\(filter.rawValue):square=\(side):ceil"
    case .floor(let filter, let multiple): "\(filter.rawValue):floor=\(multiple)"
    case .long(let filter, let side, let least):
      "\(filter.rawValue):long=\(side)" + (least > 1 ? ":\(least)" : "")
    case .smart(let filter, let rule): "\(filter.rawValue):smart=\(rule)"
    }
  }

  /// What is done to a picture of `size`: the part that is taken, then resamplings in order.
  ///
  /// - Throws: An `TesseraError` where the rule refuses such a shape, or leaves a side of no pixels.
  func plan(for size: ImageSize) throws(TesseraError) -> ResizePlan {
    let plan = try steps(for: size)
    for step in plan.steps where step.size.short < 1 {
      throw TesseraError.picture(
        .unfit,
        "\(description) makes \(step.size) pixels of \(size), a side of none; crop the picture or raise "
          + "the rule's numbers"
      )
    }
    return plan
  }

  private func steps(for size: ImageSize) throws(TesseraError) -> ResizePlan {
    let whole = PixelBox(size: size)
    func once(_ filter: ResamplingFilter, _ target: ImageSize) -> ResizePlan {
      ResizePlan(part: whole, steps: [(filter, target)])
    }
    switch self {
    case .none: return ResizePlan(part: whole, steps: [])
    case .short(let filter, let side, let longSide):
      return once(filter, size.resized(short: side, longSide))
    case .exact(let filter, let target): return once(filter, target)
    case .area(let filter, let pixels, let multiple):
      return once(filter, size.resized(area: pixels, multiple: multiple))
    case .halvings(let filter, let side):
      return ResizePlan(part: whole, steps: size.halvings(filter, short: side))
    case .square(let filter, let side, let remainder):
      return ResizePlan(
        part: size.centered(size.short, size.short, remainder),
        steps: [(filter, ImageSize(width: side, height: side))]
      )
    case .floor(let filter, let multiple):
      guard size.short >= multiple else {
        throw TesseraError.picture(.unfit, "\(size) pixels: a side is below \(multiple)")
      }
      let target = ImageSize(
        width: size.width / multiple * multiple,
        height: size.height / multiple * multiple
      )
      return once(filter, target)
    case .long(let filter, let side, let least):
      return once(filter, size.resized(long: side, least: least))
    case .smart(let filter, let rule): return once(filter, try rule.size(for: size))
    }
  }
}

/// A resize rule applied to one size.
struct ResizePlan {
  /// The part of the picture that is taken.
  let part: PixelBox
  /// Filter and resulting size of each resampling.
  let steps: [(filter: ResamplingFilter, size: ImageSize)]

  /// The size in the end.
  var size: ImageSize { steps.last?.size ?? part.size }
}

extension ImageSize {
  /// Halved by the box filter while the short side stays long enough, then resized by another.
  fileprivate func halvings(
    _ filter: ResamplingFilter,
    short side: Int
  ) -> [(filter: ResamplingFilter, size: ImageSize)] {
    var steps: [(filter: ResamplingFilter, size: ImageSize)] = []
    var current = self
    while current.short / 2 >= side {
      current = ImageSize(width: current.width / 2, height: current.height / 2)
      steps.append((.box, current))
    }
    return steps + [(filter, current.resized(short: side, .rounded))]
  }

  fileprivate func resized(short side: Int, _ longSide: ResizeRule.LongSide) -> ImageSize {
    func scaled(_ length: Int) -> Int {
      if length == short { return side }
      switch longSide {
      case .rounded:
        return whole((Double(length) * (Double(side) / Double(short))).rounded(.toNearestOrEven))
      case .torchvision:
        return whole((Double(side) * Double(length) / Double(short)).rounded(.down))
      }
    }
    return ImageSize(width: scaled(width), height: scaled(height))
  }

  /// Emu3.5's `smart_resize`: height first, cut; both sides then rounded half up to the multiple.
  fileprivate func resized(area: Int, multiple: Int) -> ImageSize {
    let aspect = Double(width) / Double(height)
    let newHeight = whole((Double(area) / aspect).squareRoot().rounded(.down))
    let newWidth = whole((Double(newHeight) * aspect).rounded(.down))
    func rounded(_ length: Int) -> Int { (length + multiple / 2) / multiple * multiple }
    return ImageSize(width: rounded(newWidth), height: rounded(newHeight))
  }

  fileprivate func resized(long side: Int, least: Int) -> ImageSize {
    let scale = Double(side) / Double(max(width, height))
    func scaled(_ length: Int) -> Int {
      max(whole((Double(length) * scale).rounded(.toNearestOrEven)), least)
    }
    return ImageSize(width: scaled(width), height: scaled(height))
  }

  /// A box of this picture's middle, the remainder of an odd difference rounded down unless told.
  func centered(
    _ width: Int,
    _ height: Int,
    _ remainder: CropRule.Remainder = .down
  ) -> PixelBox {
    let odd = remainder == .up ? 1 : 0
    return PixelBox(
      left: (self.width - width + odd) / 2,
      top: (self.height - height + odd) / 2,
      width: width,
      height: height
    )
  }

  /// Extreme shapes give numbers that no picture has; the limit on pixels refuses what is left.
  private func whole(_ value: Double) -> Int { value < 1e15 ? Int(value) : Int(1e15) }
}
