import Foundation
public import TesseraCore

extension SequenceLayout {
  /// The layouts of published models, as data.
  public static let models: [SequenceLayout] = [
    chameleon, lumina, emu3, emu35, janus, llamagen, glmImage,
  ]

  /// Finds a layout: the name of a model, or a JSON file.
  ///
  /// - Throws: `TesseraError` where it is neither, or the file is damaged.
  public init(naming name: String) throws(TesseraError) {
    if let model = Self.models.first(where: { $0.name == name }) {
      self = model
      return
    }
    guard let data = FileManager.default.contents(atPath: name), data.count <= 1 << 26 else {
      throw TesseraError(
        .inputOutput,
        "\(name): no layout of this name (\(Self.models.map(\.name).joined(separator: ", "))) and no "
          + "JSON file that can be read"
      )
    }
    do {
      self = try JSONDecoder().decode(SequenceLayout.self, from: data)
    } catch {
      let cause = (error as? DecodingError).map { ManifestFile.cause(of: $0) } ?? "\(error)"
      throw TesseraError.malformed("\(name): not a layout: \(cause)")
    }
  }

  /// A layout with a token on either side of a document and of an image, all by name.
  private init(
    named name: String,
    codes: Codes,
    document: (begin: String, end: String),
    image: (begin: String, end: String),
    pad: String
  ) {
    self.init(name: name, codes: codes)
    beginOfDocument = [.name(document.begin)]
    endOfDocument = [.name(document.end)]
    beginOfImage = [.name(image.begin)]
    endOfImage = [.name(image.end)]
    self.pad = .name(pad)
  }

  /// 1,024 codes between two tokens; codes by name.
  private static let chameleon = SequenceLayout(
    named: "chameleon",
    codes: .names(prefix: "IMGIMG", suffix: "Z", letters: true),
    document: ("<s>", "</s>"),
    image: ("<racm3:break>", "<eoss>"),
    pad: "<pad>"
  )

  /// Chameleon's vocabulary with the size as two reserved tokens and an end behind every row.
  private static let lumina: SequenceLayout = {
    var layout = chameleon
    layout.name = "lumina"
    layout.size = Size(text: nil, token: "<reserved{}>", base: 8800, divisor: 2, digits: 5)
    layout.endOfLine = EndOfLine(token: .name("<reserved08799>"), policy: .every)
    layout.loss = .completion
    return layout
  }()

  /// The size as text, an end behind every row, ids of the released vocabulary.
  private static let emu3: SequenceLayout = {
    var layout = SequenceLayout(name: "emu3", codes: .offset(151_854))
    layout.beginOfDocument = [.id(151_849)]
    layout.endOfDocument = [.id(151_850)]
    layout.pad = .id(151_643)
    layout.beginOfImage = [.id(151_852)]
    layout.size = Size(text: "{height}*{width}", token: nil, base: nil, divisor: nil, digits: nil)
    layout.beginOfCodes = [.id(151_851)]
    layout.endOfLine = EndOfLine(token: .id(151_846), policy: .every)
    layout.endOfFrame = [.id(151_847)]
    layout.endOfImage = [.id(151_853)]
    layout.vocabularySize = 184_622
    return layout
  }()

  /// As Emu3 with no end behind the last row and none of the frame; all tokens by name.
  private static let emu35: SequenceLayout = {
    var layout = SequenceLayout(
      named: "emu3.5",
      codes: .names(prefix: "<|visual token ", suffix: "|>", letters: false),
      document: ("<|extra_203|>", "<|extra_204|>"),
      image: ("<|image start|>", "<|image end|>"),
      pad: "<|endoftext|>"
    )
    layout.size = Size(text: "{height}*{width}", token: nil, base: nil, divisor: nil, digits: nil)
    layout.beginOfCodes = [.name("<|image token|>")]
    layout.endOfLine = EndOfLine(token: .name("<|extra_200|>"), policy: .between)
    return layout
  }()

  /// Codes with an embedding of their own.
  private static let janus = SequenceLayout(
    named: "janus",
    codes: .separate(placeholder: .name("<image_placeholder>")),
    document: ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    image: ("<begin_of_image>", "<end_of_image>"),
    pad: "<｜▁pad▁｜>"
  )

  /// Codes alone; the condition is a class or vectors of another model.
  private static let llamagen: SequenceLayout = {
    var layout = SequenceLayout(name: "llamagen", codes: .offset(0))
    layout.caption = .none
    return layout
  }()

  /// A prompt, the size of the grid as text, then codes of the first ids of the vocabulary.
  private static let glmImage: SequenceLayout = {
    var layout = SequenceLayout(name: "glm-image", codes: .offset(0))
    layout.pad = .id(167_841)
    layout.beginOfImage = [.name("<sop>")]
    layout.size = Size(text: "{height} {width}", token: nil, base: nil, divisor: nil, digits: nil)
    layout.beginOfCodes = [.name("<eop>"), .id(16_384)]
    layout.endOfImage = [.id(16_385)]
    layout.caption = .required
    layout.loss = .codes
    return layout
  }()
}
