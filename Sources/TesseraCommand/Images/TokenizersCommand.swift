import ArgumentParser
import Foundation
import TesseraCore
import TesseraImages
import TesseraTokenizers

/// Lists the tokenizers that `tokenize --tokenizer` takes.
struct TokenizersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenizers",
    abstract:
      "List the built-in tokenizer and the families whose checkpoints are read, or describe one.",
    discussion: """
      EXAMPLE
        tessera tokenizers
        tessera tokenizers llamagen:vq_ds16_c2i.pt --json

      A tokenizer is the name of a built-in one; FAMILY:FILE, a checkpoint as its lab published \
      it; a JSON file that names a checkpoint, its family, its quantizer and its preprocessing \
      (schemas/tokenizer.schema.json); a folder with such a file as tokenizer.json; or a \
      checkpoint that holds it in its attribute `tokenizer`.

      FAMILY@OPTION,OPTION:FILE replaces choices of the family: a profile (hf), the weights (raw, \
      ema), levels=8.5.5.5 of an FSQ, scales=1.2.3.4 of a multi-scale quantizer, tanh-out of a \
      latent-diffusion model that was configured so. Pictures are prepared by the profile, whose \
      rules the preprocessing flags of 'tokenize' replace.
      """
  )

  @Argument(help: "The tokenizer to describe; without it all are listed.")
  var tokenizer: String?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let opened = try ImageTokenizer(opening: tokenizer ?? ImageTokenizer.embeddedName, for: [])
    let report = TokenizerReport(opened)
    let families = tokenizer == nil ? TokenizerFamily.allCases.map { FamilySummary($0) } : []
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      let lines: [TokenizerLine] = [.tokenizer(report)] + families.map { .family($0) }
      try StandardOutput.print(String(decoding: try encoder.encode(lines), as: UTF8.self))
    } else {
      try StandardOutput.print(report.text.printable)
      for family in families { try StandardOutput.print("\n\(family.text)") }
    }
  }
}

/// One element of `tokenizers --json`.
private enum TokenizerLine: Encodable {
  case tokenizer(TokenizerReport)
  case family(FamilySummary)

  func encode(to encoder: any Encoder) throws {
    switch self {
    case .tokenizer(let report): try report.encode(to: encoder)
    case .family(let family): try family.encode(to: encoder)
    }
  }
}

extension FamilySummary {
  /// The family for a terminal.
  fileprivate var text: String {
    let profiles = profiles.map { profile in
      let rules = profile.preprocessing
      return
        "    \(profile.name.padding(toLength: 13, withPad: " ", startingAt: 0))resize \(rules.resize), "
        + "crop \(rules.crop), pad \(rules.pad), range \(rules.range.rawValue) (\(profile.source))"
    }
    return """
      \(family.rawValue):FILE
        checkpoints    \(checkpoints)
        quantizer      \(quantizer)
        weights        \(weights)
        licence        \(licence)
        profiles
      \(profiles.joined(separator: "\n"))
      """ + (remark.isEmpty ? "" : "\n  note           \(remark)")
  }
}

/// What is said of one tokenizer.
private struct TokenizerReport: Encodable {
  let tokenizer: TokenizerDescription
  let vocabularySize, stride: Int
  let sha256: String
  let decodes: Bool

  enum CodingKeys: String, CodingKey {
    case tokenizer, stride, sha256, decodes
    case vocabularySize = "vocabulary_size"
  }

  init(_ tokenizer: ImageTokenizer) {
    self.tokenizer = tokenizer.description
    vocabularySize = tokenizer.vocabularySize
    stride = tokenizer.stride
    sha256 = tokenizer.sha256
    decodes = tokenizer.halves.contains(.decoder)
  }

  var text: String {
    let preprocessing = tokenizer.preprocessing
    return """
      \(tokenizer.name)
        family         \(tokenizer.family.rawValue)
        vocabulary     \(vocabularySize) codes, one for \(stride) x \(stride) pixels
        preprocessing  orientation \(preprocessing.orientation.rawValue), \
      resize \(preprocessing.resize), crop \(preprocessing.crop), pad \(preprocessing.pad)
        decodes        \(decodes ? "yes" : "no")
        sha256         \(sha256)
      """
  }
}
