public import ArgumentParser
public import TesseraImages

/// What happens to a picture between its file and the network; each flag overrides the profile.
struct PreprocessingOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "none, or FILTER:short=256 | exact=HxW | area=PIXELS/MULTIPLE | adm=256 | square=256 | smart=FACTOR/MIN/MAX, with Pillow's filters.",
      discussion: """
        short=N makes the short side N and rounds the long one, short=N:torchvision cuts it; \
        area=262144/16 is Emu3.5's rule, adm=N LlamaGen's (halvings by box first), square=N cuts \
        the middle square first, smart=28/3136/1003520 is Qwen2-VL's smart_resize, \
        bicubic:smart=8/262144/1048576 Emu3's.
        """,
      valueName: "rule"
    ),
    transform: { try rule($0, ResizeRule.self) }
  )
  var resize: ResizeRule?

  @Option(
    help: "none, or center:HxW (place rounded down; center:HxW:torchvision rounds half to even).",
    transform: { try rule($0, CropRule.self) }
  )
  var crop: CropRule?

  @Option(
    help: "none, or a number: black around the middle, up to multiples of it.",
    transform: { try rule($0, PadRule.self) }
  )
  var pad: PadRule?

  @Option(
    help: """
      Whether the picture is turned as Exif or XMP data ask: ignore, as published tokenizers, or apply, as \
      Pillow's exif_transpose.
      """
  )
  var orientation: OrientationRule?

  @Option(
    help: """
      What becomes of transparency: drop it, lay it on white as Chameleon (cut to integers), or \
      composite it on white as Pillow and Transformers (rounded).
      """
  )
  var alpha: AlphaRule?

  @Option(
    help: """
      What becomes of a file that ends early: refuse it, or keep partial rows. With partial, the rows in front of \
      damage in a PNG or GIF are kept too, as with Pillow's LOAD_TRUNCATED_IMAGES; a WebP is whole or refused.
      """
  )
  var truncated: TruncationRule?

  @Option(
    help: """
      The most pixels that a picture may have. A file up to 1 MiB may have 2^26 in a PNG or GIF and 2^25 in other \
      encodings, 64 more for each further byte, unless this is above its default.
      """
  )
  var maxPixels = ImageLimits.standard.pixels

  /// What a file may demand.
  var limits: ImageLimits { ImageLimits(pixels: maxPixels) }

  func validate() throws {
    guard maxPixels > 0 else { throw ValidationError("--max-pixels is a positive number") }
  }

  /// A profile with the flags that were given in place of its own rules.
  func overriding(_ profile: Preprocessing) -> Preprocessing {
    var result = profile
    if let orientation { result.orientation = orientation }
    if let resize { result.resize = resize }
    if let crop { result.crop = crop }
    if let pad { result.pad = pad }
    if let alpha { result.alpha = alpha }
    if let truncated { result.truncation = truncated }
    return result
  }
}

private func rule<Rule: TextRule>(_ text: String, _ type: Rule.Type) throws -> Rule {
  guard let rule = Rule(text) else {
    throw ValidationError("'\(text)' is no \(Rule.noun); it is \(Rule.grammar)")
  }
  return rule
}

extension OrientationRule: ExpressibleByArgument {}
extension AlphaRule: ExpressibleByArgument {}
extension TruncationRule: ExpressibleByArgument {}
