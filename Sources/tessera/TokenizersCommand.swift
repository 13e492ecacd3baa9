import ArgumentParser
import Foundation
import Readers
import Tokenization

/// Lists the tokenizers that `tokenize --tokenizer` takes.
struct TokenizersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenizers",
    abstract: "List the tokenizers that are built in, or describe one.",
    discussion: """
      EXAMPLE
        tessera tokenizers
        tessera tokenizers my-tokenizer/ --json

      A tokenizer is the name of a built-in one, a JSON file that names a checkpoint, its family, its
      quantizer and its preprocessing (schemas/tokenizer.schema.json), a folder with such a file as
      tokenizer.json, or a checkpoint that holds it in its attribute `tokenizer`.
      """
  )

  @Argument(help: "A tokenizer to describe; the built-in ones where none is named.")
  var tokenizer: String?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let opened = try ImageTokenizer(opening: tokenizer ?? ImageTokenizer.embeddedName)
    let report = TokenizerReport(opened)
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      print(String(decoding: try encoder.encode([report]), as: UTF8.self))
    } else {
      print(report.text)
    }
  }
}

/// What is said of one tokenizer.
private struct TokenizerReport: Encodable {
  let tokenizer: TokenizerDescription
  let vocabularySize: Int
  let stride: Int
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
    decodes = tokenizer.decoder != nil
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
