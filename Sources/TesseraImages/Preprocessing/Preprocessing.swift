public import TesseraCore

/// Whether a picture is turned upright before it is resized.
public enum OrientationRule: String, Hashable, Sendable, Codable, CaseIterable {
  /// As stored: what Pillow's `Image.open` gives, and so what every published tokenizer saw.
  case ignore
  /// As the Exif orientation asks, like Pillow's `ImageOps.exif_transpose`.
  case apply
}

/// Everything between an encoded file and a network's input.
///
/// In order: orientation, resize, crop, pad, pixel range. A code depends on each of them, so a profile
/// fixes them all.
public struct Preprocessing: Hashable, Sendable, Codable {
  /// Whether Exif orientation is applied.
  public var orientation: OrientationRule
  /// The size before cropping.
  public var resize: ResizeRule
  /// The part that is kept.
  public var crop: CropRule
  /// What is added around it.
  public var pad: PadRule
  /// What becomes of transparency.
  public var alpha: AlphaRule
  /// What becomes of a cut file.
  public var truncation: TruncationRule
  /// How bytes become floats.
  public var range: PixelRange

  enum CodingKeys: String, CodingKey, CaseIterable {
    case orientation, resize, crop, pad, alpha, truncation, range
  }

  /// The names of the fields in JSON.
  package static let fields = CodingKeys.allCases.map(\.rawValue)

  /// Creates a profile; by default the picture stays as it is stored.
  public init(
    orientation: OrientationRule = .ignore,
    resize: ResizeRule = .none,
    crop: CropRule = .none,
    pad: PadRule = .none,
    alpha: AlphaRule = .drop,
    truncation: TruncationRule = .refuse,
    range: PixelRange = .symmetric
  ) {
    (self.orientation, self.resize, self.crop, self.pad) = (orientation, resize, crop, pad)
    (self.alpha, self.truncation, self.range) = (alpha, truncation, range)
  }

  /// The profile of the embedded tokenizer: upright, short side 256 (bicubic), the middle 256 x 256.
  public static let tesseraF8 = Preprocessing(
    orientation: .apply,
    resize: .short(.bicubic, 256, .rounded),
    crop: .center(ImageSize(width: 256, height: 256), .floor)
  )

  /// Decodes an encoded file and applies the profile.
  ///
  /// Equal to `apply(to: ImageDecoder(…).decode(bytes))`, and faster: of a JPEG, only the rows and
  /// columns that the result depends on are upsampled, converted and kept.
  ///
  /// - Throws: An `TesseraError` where the file is damaged, over the limits, or does not fit the rules.
  public func image(
    from bytes: [UInt8],
    limits: ImageLimits = .standard
  ) throws(TesseraError) -> PreprocessedImage {
    let decoder = ImageDecoder(limits: limits, alpha: alpha, truncation: truncation)
    let header = try decoder.header(of: bytes)
    let scaled = limits.scaled(to: header)
    guard let decodeRegion = unsafe header.format.entry.decodeRegion,
      orientation == .ignore || header.orientation == .upright
    else {
      return try apply(to: decoder.decode(bytes, header: header), limits: scaled)
    }
    let plan = try resize.plan(for: header.size)
    let box = try crop.box(in: plan.size)
    guard plan.steps.count == 1, let step = plan.steps.first, plan.part.size == header.size,
      step.filter.isPillow
    else {
      return try apply(to: decoder.decode(bytes, header: header), limits: scaled)
    }
    let resampler = try Resampler(
      filter: step.filter,
      size: header.size,
      target: step.size,
      window: box,
      limits: scaled
    )
    try unsafe decodeRegion(bytes, resampler.source, decoder.scaled(to: header)) {
      unsafe resampler.add($0, $1)
    }
    return try result(
      resampler.finish(),
      window: PixelBox(size: box.size),
      box: box,
      originalSize: header.size,
      orientation: .upright,
      resizedSize: plan.size,
      limits: scaled
    )
  }

  /// Applies the profile to a decoded picture.
  ///
  /// - Throws: An `TesseraError` where the picture does not fit the rules, or a size passes the limits.
  public func apply(
    to decoded: DecodedImage,
    limits: ImageLimits = .standard
  ) throws(TesseraError) -> PreprocessedImage {
    let applied = orientation == .apply ? decoded.orientation : .upright
    var pixels = decoded.pixels.turned(applied)
    let plan = try resize.plan(for: pixels.size)
    let box = try crop.box(in: plan.size)
    // Where the picture that is resized starts in `pixels`: only a square is cut out beforehand.
    var window = box
    if plan.part.size != pixels.size { pixels = pixels.cut(plan.part) }
    for (index, step) in plan.steps.enumerated() {
      let isLast = index == plan.steps.count - 1
      pixels = try pixels.resampled(
        step.filter,
        to: step.size,
        window: isLast ? box : PixelBox(size: step.size),
        limits: limits
      )
      if isLast { window = PixelBox(size: box.size) }
    }
    return try result(
      pixels,
      window: window,
      box: box,
      originalSize: decoded.size,
      orientation: applied,
      resizedSize: plan.size,
      limits: limits
    )
  }

  private func result(
    _ pixels: RGBXImage,
    window: PixelBox,
    box: PixelBox,
    originalSize: ImageSize,
    orientation: ExifOrientation,
    resizedSize: ImageSize,
    limits: ImageLimits
  ) throws(TesseraError) -> PreprocessedImage {
    let canvas = pad.canvas(for: box.size)
    guard canvas.pixels <= limits.pixels else {
      throw TesseraError.picture(
        .overLimit,
        "padding to \(canvas) passes the limit of \(limits.pixels) pixels"
      )
    }
    return PreprocessedImage(
      image: pixels.packed(box: window, canvas: canvas, fill: pad.fill),
      originalSize: originalSize,
      orientation: orientation,
      resizedSize: resizedSize,
      cropBox: box
    )
  }
}

/// What a network will see, and how it came about.
public struct PreprocessedImage: Hashable, Sendable {
  /// The picture, padded where the profile says so.
  public let image: RGBImage
  /// The size as stored in the file, before orientation.
  public let originalSize: ImageSize
  /// The orientation that was applied; `upright` where it was ignored or there was none.
  public let orientation: ExifOrientation
  /// The size after orientation and resizing, before cropping.
  public let resizedSize: ImageSize
  /// The part that was kept, in pixels of the resized picture, before padding.
  public let cropBox: PixelBox
}

extension RGBXImage {
  /// A part of this picture.
  func cut(_ box: PixelBox) -> RGBXImage {
    unsafe RGBXImage(width: box.width, height: box.height) { target in
      unsafe bytes.withUnsafeBufferPointer { source in
        guard let source = source.baseAddress else { return }
        for y in 0..<box.height {
          let row = unsafe source + (box.top + y) * stride + box.left * 4
          unsafe (target + y * box.width * 4).update(from: row, count: box.width * 4)
        }
      }
    }
  }
}
