import Foundation
import TesseraCore

/// One step of a tokenizer's normalization: text in UTF-8 to text in UTF-8.
indirect enum TextNormalizer: Sendable {
  case sequence([TextNormalizer])
  case nfc, nfd, nfkc, nfkd
  case lowercase
  case strip(left: Bool, right: Bool)
  case stripAccents
  case prepend([UInt8])
  case replace([UInt8], with: [UInt8])
  case replacePattern(TextPattern, with: [UInt8])
  case bert(cleans: Bool, spacesChinese: Bool, stripsAccents: Bool, lowers: Bool)
  case precompiled(CompiledCharacters)

  /// Reads the `normalizer` of a tokenizer file.
  ///
  /// - Throws: `TesseraError` that names what is not supported.
  init(_ json: TokenizerJSON) throws(TesseraError) {
    guard let type = json["type"]?.text else {
      throw .field("normalizer.type", "a name")
    }
    func flag(_ name: String) -> Bool { json[name]?.bool ?? true }
    switch type {
    case "Sequence":
      var steps: [TextNormalizer] = []
      for step in json["normalizers"]?.array ?? [] { steps.append(try TextNormalizer(step)) }
      guard steps.reduce(0, { $0 + $1.stepCount }) <= Self.mostSteps else {
        throw .unsupported("a normalizer of more than \(Self.mostSteps) steps")
      }
      self = .sequence(steps)
    case "NFC": self = .nfc
    case "NFD": self = .nfd
    case "NFKC": self = .nfkc
    case "NFKD": self = .nfkd
    case "Lowercase": self = .lowercase
    case "Strip": self = .strip(left: flag("strip_left"), right: flag("strip_right"))
    case "StripAccents": self = .stripAccents
    case "Prepend":
      guard let text = json["prepend"]?.bytes else { throw .field("prepend", "a text") }
      self = .prepend(text)
    case "Replace": self = try Self.replacement(json)
    case "BertNormalizer":
      let lowers = flag("lowercase")
      self = .bert(
        cleans: flag("clean_text"),
        spacesChinese: flag("handle_chinese_chars"),
        stripsAccents: json["strip_accents"]?.bool ?? lowers,
        lowers: lowers
      )
    case "Precompiled":
      guard let text = json["precompiled_charsmap"]?.text, let data = Data(base64Encoded: text)
      else { throw .field("precompiled_charsmap", "base64") }
      self = .precompiled(try CompiledCharacters(Array(data)))
    default: throw .unsupported("the normalizer '\(type)'")
    }
  }

  /// How many times as long as it was a text may become, beside 64 KiB.
  private static let mostGrowth = 8
  /// The most steps: each walks through every text.
  private static let mostSteps = 64

  private var stepCount: Int {
    if case .sequence(let steps) = self { steps.reduce(1) { $0 + $1.stepCount } } else { 1 }
  }

  /// Reads a Replace of a text or of what matches a pattern.
  private static func replacement(_ json: TokenizerJSON) throws(TesseraError) -> Self {
    guard let content = json["content"]?.bytes else { throw .field("content", "a text") }
    if let text = json["pattern"]?["String"]?.bytes { return .replace(text, with: content) }
    guard let pattern = json["pattern"]?["Regex"]?.text else {
      throw .field("pattern", "a String or a Regex")
    }
    let compiled = try TextPattern(pattern)
    var matcher = TextPatternMatcher(compiled)
    // The reference writes the text at every place then.
    guard try !matcher.matchesNothing() else {
      throw .unsupported("a Replace of a pattern that matches nothing at all")
    }
    return .replacePattern(compiled, with: content)
  }

  /// Applies the step.
  func apply(to text: [UInt8]) throws(TesseraError) -> [UInt8] {
    try apply(to: text, most: Self.mostGrowth * text.count + (1 << 16))
  }

  /// Applies the step where no text between becomes longer than a number of bytes.
  private func apply(to text: [UInt8], most: Int) throws(TesseraError) -> [UInt8] {
    let result = try changed(text, most: most)
    guard result.count <= most else {
      throw TesseraError.malformed(
        "the normalizer makes a text more than \(Self.mostGrowth) times as long"
      )
    }
    return result
  }

  /// The text behind the step; where it is longer than `most`, the end may be missing.
  private func changed(_ text: [UInt8], most: Int) throws(TesseraError) -> [UInt8] {
    switch self {
    case .sequence(let steps):
      var text = text
      for step in steps { text = try step.apply(to: text, most: most) }
      return text
    case .nfc, .nfd, .nfkc, .nfkd: return composed(text)
    case .lowercase: return Self.mapped(text) { $0.properties.lowercaseMapping }
    case .strip(let left, let right): return Self.stripped(text, left: left, right: right)
    case .stripAccents: return Self.filtered(text) { $0.mask & ScalarClass.marks == 0 }
    case .prepend(let prefix): return text.isEmpty ? text : prefix + text
    case .replace(let old, let new): return Self.replaced(text, old, new, most: most)
    case .replacePattern(let pattern, let new):
      var result: [UInt8] = []
      var last = 0
      var matcher = TextPatternMatcher(pattern)
      for range in try matcher.matches(in: text) where result.count <= most {
        result += text[last..<range.lowerBound] + new
        last = range.upperBound
      }
      return result + text[last...]
    case .bert(let cleans, let spacesChinese, let stripsAccents, let lowers):
      var text = text
      if cleans { text = Self.cleaned(text) }
      if spacesChinese { text = Self.spaced(text) }
      if stripsAccents {
        let nonspacing = ScalarClass.categories(named: "Mn") ?? 0
        text = Self.filtered(TextNormalizer.nfd.composed(text)) { $0.mask & nonspacing == 0 }
      }
      return lowers ? Self.mapped(text) { $0.properties.lowercaseMapping } : text
    case .precompiled(let characters): return characters.apply(to: text, most: most)
    }
  }

  private func composed(_ text: [UInt8]) -> [UInt8] {
    if text.allSatisfy({ $0 < 0x80 }) { return text }
    let string = String(decoding: text, as: UTF8.self)
    switch self {
    case .nfc: return Array(string.precomposedStringWithCanonicalMapping.utf8)
    case .nfd: return Array(string.decomposedStringWithCanonicalMapping.utf8)
    case .nfkc: return Array(string.precomposedStringWithCompatibilityMapping.utf8)
    case .nfkd: return Array(string.decomposedStringWithCompatibilityMapping.utf8)
    default: return text
    }
  }

  /// Each scalar replaced by a text; ASCII letters become small at once.
  private static func mapped(
    _ text: [UInt8],
    _ mapping: (Unicode.Scalar) -> String
  ) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var position = 0
    while position < text.count {
      let byte = text[position]
      if byte < 0x80 {
        result.append((0x41...0x5A).contains(byte) ? byte | 0x20 : byte)
        position += 1
        continue
      }
      let (code, next) = UTF8Scalars.decode(text, position)
      if let scalar = Unicode.Scalar(code) { result += Array(mapping(scalar).utf8) }
      position = next
    }
    return result
  }

  private static func filtered(_ text: [UInt8], _ isKept: (ScalarClass) -> Bool) -> [UInt8] {
    var result: [UInt8] = []
    var position = 0
    while position < text.count {
      let (code, next) = UTF8Scalars.decode(text, position)
      if isKept(ScalarClass(code)) { result += text[position..<next] }
      position = next
    }
    return result
  }

  private static func stripped(_ text: [UInt8], left: Bool, right: Bool) -> [UInt8] {
    var (start, end) = (0, text.count)
    while left, start < end {
      let (code, next) = UTF8Scalars.decode(text, start)
      guard ScalarClass(code).isSpace else { break }
      start = next
    }
    while right, end > start {
      let before = UTF8Scalars.before(text, end)
      guard ScalarClass(UTF8Scalars.decode(text, before).scalar).isSpace else { break }
      end = before
    }
    return Array(text[start..<end])
  }

  /// Replaces a text wherever it stands; stops behind `most` bytes.
  static func replaced(
    _ text: [UInt8],
    _ old: [UInt8],
    _ new: [UInt8],
    most: Int = .max
  ) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var position = 0
    for place in ByteSearch.places(of: old, in: text, text.indices) where result.count <= most {
      result += text[position..<place]
      result += new
      position = place + old.count
    }
    return result + text[position...]
  }

  /// BERT's cleaning: control characters vanish, white space becomes a space.
  private static func cleaned(_ text: [UInt8]) -> [UInt8] {
    let others = ["Cc", "Cf", "Cs", "Co"].reduce(0 as UInt32) { mask, name in
      mask | (ScalarClass.categories(named: name) ?? 0)
    }
    var result: [UInt8] = []
    var position = 0
    while position < text.count {
      let (code, next) = UTF8Scalars.decode(text, position)
      let kind = ScalarClass(code)
      if kind.isSpace, ![0x0B, 0x0C, 0x85, 0x1C, 0x1D, 0x1E, 0x1F].contains(code) {
        result.append(0x20)
      } else if code != 0, code != 0xFFFD, kind.mask & others == 0 {
        result += text[position..<next]
      }
      position = next
    }
    return result
  }

  /// Spaces around ideographs.
  private static func spaced(_ text: [UInt8]) -> [UInt8] {
    let ideographs: [ClosedRange<UInt32>] = [
      0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
      0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F,
    ]
    var result: [UInt8] = []
    var position = 0
    while position < text.count {
      let (code, next) = UTF8Scalars.decode(text, position)
      let scalar = text[position..<next]
      if code >= 0x3400, ideographs.contains(where: { $0.contains(code) }) {
        result += [0x20] + scalar + [0x20]
      } else {
        result += scalar
      }
      position = next
    }
    return result
  }
}
