public import ArgumentParser
import TesseraDatasets
public import TesseraSequences

extension SequencePacking: ExpressibleByArgument {}
extension SequenceLayout.Loss: ExpressibleByArgument {}

/// What comes first in a document of one image.
enum DocumentOrder: String, ExpressibleByArgument, CaseIterable {
  case captionFirst = "caption-first"
  case imageFirst = "image-first"
}

/// How samples become sequences: what `tokenize` and `export` have in common.
struct SequenceOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Make sequences of text and image tokens: \(Self.names), or a JSON file.",
      discussion: "schemas/sequence.schema.json describes the file.",
      valueName: "layout"
    )
  )
  var sequence: String?

  @Option(
    help:
      "The text tokenizer of captions and token names: a tokenizer.json or a SentencePiece model.",
    completion: .file()
  )
  var textTokenizer: String?

  @Option(
    help:
      "A model's config.json whose vocabulary_map names the ids of codes and marks, such as Chameleon's.",
    completion: .file(extensions: ["json"])
  )
  var vocabularyMap: String?

  @Option(help: "How documents share rows. (default: none)")
  var pack: SequencePacking?

  @Option(help: "The most tokens of a row; with --pack concatenate and fixed the number of them.")
  var length: Int?

  @Option(help: "What comes first in a document of one image. (default: caption-first)")
  var order: DocumentOrder?

  @Option(help: "Which tokens have labels, in place of the layout's own choice.")
  var loss: SequenceLayout.Loss?

  @Option(
    help: """
      Documents of text and images, JSON Lines such as [{"text": "a cat"}, {"image": "cats/1.jpg"}]; \
      images by their path or key in the dataset. Without it each image is a document.
      """,
    completion: .file(extensions: ["jsonl"])
  )
  var documents: String?

  private static let names = SequenceLayout.models.map(\.name).joined(separator: ", ")

  func validate() throws {
    guard sequence != nil || isDefault else {
      throw ValidationError(
        "--text-tokenizer, --vocabulary-map, --pack, --length, --order, --loss and --documents belong to "
          + "--sequence"
      )
    }
    if let length, !(1...1 << 28).contains(length) {
      throw ValidationError("--length: not from 1 to 268435456")
    }
    if let pack, pack != .none, length == nil {
      throw ValidationError("--pack \(pack.rawValue) needs a --length")
    }
    if documents != nil, order != nil {
      throw ValidationError("--order is for single images; documents have their own")
    }
  }

  /// Whether nothing was set.
  var isDefault: Bool {
    sequence == nil && textTokenizer == nil && vocabularyMap == nil && pack == nil && length == nil
      && order == nil
      && loss == nil && documents == nil
  }

  /// What is asked for; nil where samples stay as they are.
  func request() throws -> SequenceStage.Request? {
    guard let sequence else { return nil }
    var layout = try SequenceLayout(naming: sequence)
    if let loss { layout.loss = loss }
    var request = SequenceStage.Request(layout: layout)
    request.textTokenizer = textTokenizer
    request.vocabularyMap = vocabularyMap
    request.packing = pack ?? .none
    request.length = length
    request.imageFirst = order == .imageFirst
    request.documents = documents
    return request
  }
}
