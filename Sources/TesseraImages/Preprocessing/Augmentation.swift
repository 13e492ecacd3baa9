public import TesseraCore

/// Several views of each picture, as LlamaGen's extraction makes them.
///
/// Spellings: `none`; `flip`, the picture and its mirror image; `ten-crop` or `ten-crop:RANGE`, which prepares the
/// picture RANGE times as large (1.1 unless told), and takes the four corners and the middle of it and of its
/// mirror image, in torchvision's order: upper left, upper right, lower left, lower right, middle.
public enum Augmentation: TextRule {
  case none
  case flip
  case tenCrop(range: Double)

  /// What messages call it.
  public static let noun = "augmentation"
  /// The accepted forms, for messages.
  public static let grammar = "none, flip or ten-crop[:RANGE], with RANGE from 1 to 4"

  /// Reads one of the forms above.
  public init?(_ text: String) {
    switch text {
    case "none": self = .none
    case "flip": self = .flip
    case "ten-crop": self = .tenCrop(range: 1.1)
    default:
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, parts[0] == "ten-crop", let range = Double(parts[1]),
        range >= 1, range <= 4
      else { return nil }
      self = .tenCrop(range: range)
    }
  }

  /// The rule as text.
  public var description: String {
    switch self {
    case .none: "none"
    case .flip: "flip"
    case .tenCrop(let range): "ten-crop:\(range)"
    }
  }

  /// The views of one picture.
  public var count: Int {
    switch self {
    case .none: 1
    case .flip: 2
    case .tenCrop: 10
    }
  }

  /// The profile that prepares what the views are taken of.
  ///
  /// - Throws: An `TesseraError` where ten crops need one short side and a crop, and the profile has others.
  public func enlarging(_ profile: Preprocessing) throws(TesseraError) -> Preprocessing {
    guard case .tenCrop(let range) = self else { return profile }
    func enlarged(_ side: Int) -> Int { Int(Double(side) * range) }
    var result = profile
    switch profile.resize {
    case .short(let filter, let side, let longSide):
      result.resize = .short(filter, enlarged(side), longSide)
    case .halvings(let filter, let side):
      result.resize = .halvings(filter, enlarged(side))
    default:
      throw TesseraError.picture(
        .unfit,
        "ten-crop needs --resize FILTER:short=N or adm=N, not \(profile.resize)"
      )
    }
    guard case .center(let size, let place) = profile.crop else {
      throw TesseraError.picture(.unfit, "ten-crop needs --crop center:HxW, not \(profile.crop)")
    }
    let larger = ImageSize(width: enlarged(size.width), height: enlarged(size.height))
    result.crop = .center(larger, place)
    return result
  }

  /// The views of a picture that the enlarged profile prepared.
  ///
  /// - Parameters:
  ///   - image: The prepared picture.
  ///   - crop: The crop of the profile as it was.
  /// - Returns: ``count`` pictures.
  public func views(of image: RGBImage, crop: CropRule) -> [RGBImage] {
    switch self {
    case .none: return [image]
    case .flip: return [image, image.mirrored]
    case .tenCrop:
      guard case .center(let size, _) = crop else { return [image] }
      return [image, image.mirrored].flatMap { $0.fiveCrops(size) }
    }
  }
}

extension RGBImage {
  /// Left and right exchanged.
  fileprivate var mirrored: RGBImage {
    var result = pixels
    for y in 0..<height {
      for x in 0..<width {
        for channel in 0..<3 {
          result[(y * width + x) * 3 + channel] = pixels[(y * width + width - 1 - x) * 3 + channel]
        }
      }
    }
    return RGBImage(width: width, height: height, pixels: result)
  }

  /// The corners and the middle, whose place is rounded half to even.
  fileprivate func fiveCrops(_ size: ImageSize) -> [RGBImage] {
    let (right, bottom) = (width - size.width, height - size.height)
    func middle(_ rest: Int) -> Int { Int((Double(rest) / 2).rounded(.toNearestOrEven)) }
    let places = [
      (0, 0), (right, 0), (0, bottom), (right, bottom), (middle(right), middle(bottom)),
    ]
    return places.map { left, top in
      var part: [UInt8] = []
      part.reserveCapacity(size.width * size.height * 3)
      for y in top..<top + size.height {
        let start = (y * width + left) * 3
        part += pixels[start..<start + size.width * 3]
      }
      return RGBImage(width: size.width, height: size.height, pixels: part)
    }
  }
}
