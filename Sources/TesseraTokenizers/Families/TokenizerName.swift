import TesseraCore

/// A tokenizer as a user names it: `FAMILY:FILE`, with options `FAMILY@OPTION,OPTION:FILE`.
///
/// Options are a profile of the family (`hf`), the weights that are taken (`raw`, `ema`), the levels of a finite
/// scalar quantizer (`levels=8.8.8.5.5.5`), the scales of a multi-scale one (`scales=1.2.3.4`), and a tanh behind
/// the decoder of latent diffusion (`tanh-out`).
struct TokenizerName {
  let family: FamilyEntry
  let path: String
  private(set) var profile: FamilyEntry.Profile
  private(set) var weights: FamilyTensors.Weights?
  private(set) var levels: [Int]?
  private(set) var scales: [Int]?
  private(set) var endsWithTanh = false
  /// What stands before the colon, for the record.
  let selector: String

  /// Reads a name; nil where it does not begin with a family.
  ///
  /// - Throws: `TesseraError` for an option that the family has not.
  init?(_ text: String) throws(TesseraError) {
    guard let colon = text.firstIndex(of: ":") else { return nil }
    let parts = text[..<colon].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
    guard let family = TokenizerFamily(rawValue: String(parts[0])) else { return nil }
    self.family = FamilyEntry.entry(of: family)
    path = String(text[text.index(after: colon)...])
    selector = String(text[..<colon])
    profile = self.family.profiles[0]
    guard parts.count == 2 else { return }
    for option in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
      try apply(String(option), in: text)
    }
  }

  private mutating func apply(_ option: String, in text: String) throws(TesseraError) {
    if let found = family.profiles.first(where: { $0.name == option }) {
      profile = found
    } else if let found = FamilyTensors.Weights(rawValue: option) {
      weights = found
    } else if let numbers = Self.numbers("levels", option), case .finiteScalar = family.quantizer {
      levels = numbers
    } else if let numbers = Self.numbers("scales", option), case .multiScale = family.quantizer {
      scales = numbers
    } else if option == "tanh-out", family.family == .ldm {
      endsWithTanh = true
    } else {
      var known = family.profiles.map(\.name) + FamilyTensors.Weights.allCases.map(\.rawValue)
      if case .finiteScalar = family.quantizer { known.append("levels=8.5.5.5") }
      if case .multiScale = family.quantizer { known.append("scales=1.2.3.4") }
      if family.family == .ldm { known.append("tanh-out") }
      throw TesseraError.mismatch(
        "'\(option)' is no option of \(family.family.rawValue); it has "
          + known.joined(separator: ", "),
        file: text
      )
    }
  }

  private static func numbers(_ name: String, _ option: String) -> [Int]? {
    guard option.hasPrefix("\(name)=") else { return nil }
    let parts = option.dropFirst(name.count + 1)
      .split(separator: ".", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Int($0) }
    return numbers.count == parts.count ? numbers : nil
  }
}
