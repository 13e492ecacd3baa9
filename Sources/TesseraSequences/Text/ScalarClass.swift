/// What patterns ask of a Unicode scalar: its general category, and whether it is white space or part
/// of a word.
struct ScalarClass {
  /// The category in the low five bits, then white space, then word.
  private let bits: UInt8

  private static let space: UInt8 = 1 << 5
  private static let word: UInt8 = 1 << 6

  /// The classes of the first two planes, looked up once.
  private static let table: [UInt8] = (0..<0x20000 as Range<UInt32>).map { code in
    Unicode.Scalar(code).map(computed) ?? 0
  }

  init(_ scalar: UInt32) {
    if scalar < 0x20000 {
      bits = Self.table[Int(scalar)]
    } else {
      bits = Unicode.Scalar(scalar).map(Self.computed) ?? 0
    }
  }

  private static func computed(_ scalar: Unicode.Scalar) -> UInt8 {
    let properties = scalar.properties
    let category = number(of: properties.generalCategory)
    var bits = category
    if properties.isWhitespace { bits |= space }
    let marks = categories(named: "M") ?? 0
    let others = (categories(named: "Nd") ?? 0) | (categories(named: "Pc") ?? 0)
    if properties.isAlphabetic || (marks | others) >> UInt32(category) & 1 == 1
      || properties.isJoinControl
    {
      bits |= word
    }
    return bits
  }

  /// The category as a bit of a mask.
  var mask: UInt32 { 1 << UInt32(bits & 31) }
  /// Whether it has the property White_Space.
  var isSpace: Bool { bits & Self.space != 0 }
  /// Whether `\w` matches it: alphabetic, a mark, a decimal digit, a connector or a joiner.
  var isWord: Bool { bits & Self.word != 0 }

  private static let names = [
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi",
    "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
  ]

  /// The mask of the categories of a name such as `L` or `Lu`; nil for another name.
  static func categories(named name: String) -> UInt32? {
    var mask: UInt32 = 0
    for (index, known) in names.enumerated() where known == name || known.prefix(1) == name {
      mask |= 1 << UInt32(index)
    }
    return mask == 0 ? nil : mask
  }

  /// The categories of letters, numbers, punctuation and marks.
  static let numbers = categories(named: "N") ?? 0
  static let punctuation = categories(named: "P") ?? 0
  static let marks = categories(named: "M") ?? 0

  private static func number(of category: Unicode.GeneralCategory) -> UInt8 {
    switch category {
    case .uppercaseLetter: 0
    case .lowercaseLetter: 1
    case .titlecaseLetter: 2
    case .modifierLetter: 3
    case .otherLetter: 4
    case .nonspacingMark: 5
    case .spacingMark: 6
    case .enclosingMark: 7
    case .decimalNumber: 8
    case .letterNumber: 9
    case .otherNumber: 10
    case .connectorPunctuation: 11
    case .dashPunctuation: 12
    case .openPunctuation: 13
    case .closePunctuation: 14
    case .initialPunctuation: 15
    case .finalPunctuation: 16
    case .otherPunctuation: 17
    case .mathSymbol: 18
    case .currencySymbol: 19
    case .modifierSymbol: 20
    case .otherSymbol: 21
    case .spaceSeparator: 22
    case .lineSeparator: 23
    case .paragraphSeparator: 24
    case .control: 25
    case .format: 26
    case .surrogate: 27
    case .privateUse: 28
    case .unassigned: 29
    @unknown default: 29
    }
  }
}

/// Scalars in valid UTF-8, at places that are known to start one.
enum UTF8Scalars {
  /// The scalar at a place and the place behind it.
  @inline(__always)
  static func decode(_ text: [UInt8], _ position: Int) -> (scalar: UInt32, next: Int) {
    let first = UInt32(text[position])
    if first < 0x80 { return (first, position + 1) }
    func tail(_ offset: Int) -> UInt32 { UInt32(text[position + offset] & 0x3F) }
    if first < 0xE0 { return ((first & 0x1F) << 6 | tail(1), position + 2) }
    if first < 0xF0 { return ((first & 0x0F) << 12 | tail(1) << 6 | tail(2), position + 3) }
    return (
      (first & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), position + 4
    )
  }

  /// The start of the scalar in front of a place.
  @inline(__always)
  static func before(_ text: [UInt8], _ position: Int) -> Int {
    var position = position - 1
    while position > 0, text[position] & 0xC0 == 0x80 { position -= 1 }
    return position
  }
}
