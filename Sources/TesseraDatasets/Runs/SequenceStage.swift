import Foundation
internal import Synchronization
import TesseraCore
package import TesseraImages
public import TesseraSequences

/// The step from samples to sequences: a layout, a text tokenizer, and documents where images do not
/// each stand alone.
public struct SequenceStage: Sendable {
  /// What the manifest records.
  public let settings: SequenceSettings
  let layout: SequenceLayout
  let tokenizer: TextTokenizer?
  let vocabulary: VocabularyMap?
  let documents: DocumentFile?
  let scheme: PositionScheme?
  let packing: SequencePacking
  let imageFirst: Bool

  /// What a user names to get sequences.
  public struct Request: Sendable {
    /// The layout.
    public var layout: SequenceLayout
    /// The text tokenizer's file.
    public var textTokenizer: String?
    /// The file with the ids of token names, a model's `config.json`.
    public var vocabularyMap: String?
    /// How documents share rows.
    public var packing = SequencePacking.none
    /// The most tokens of a row.
    public var length: Int?
    /// Whether images stand in front of their captions.
    public var imageFirst = false
    /// The scheme of the position ids, or `none`.
    public var positions = "none"
    /// The file of documents.
    public var documents: String?

    /// Asks for a layout of images alone, one document a row.
    public init(layout: SequenceLayout) { self.layout = layout }
  }

  /// Opens what a request names.
  ///
  /// - Throws: `TesseraError`.
  public init(_ request: Request) throws {
    layout = request.layout
    tokenizer = try request.textTokenizer.map { try TextTokenizer(opening: $0) }
    vocabulary = try request.vocabularyMap.map { try VocabularyMap(path: $0) }
    documents = try request.documents.map { try DocumentFile(path: $0) }
    packing = request.packing
    imageFirst = request.imageFirst
    scheme = try PositionScheme.Name(rawValue: request.positions).map { try PositionScheme($0) }
    settings = try SequenceSettings(
      layout: layout,
      textTokenizer: tokenizer?.sha256,
      vocabularyMap: vocabulary?.sha256,
      pack: packing.rawValue,
      length: request.length,
      order: imageFirst ? "image-first" : "caption-first",
      positions: request.positions,
      documents: documents?.sha256
    )
  }

  /// Opens what a plan names again.
  ///
  /// - Parameters:
  ///   - settings: What the plan fixed.
  ///   - files: The files that the plan names.
  /// - Throws: As ``init(_:)``, and `TesseraError` where a file is no longer the one of the plan.
  package init(settings: SequenceSettings, files: SequenceFiles) throws {
    var request = Request(layout: try settings.layout(as: SequenceLayout.self))
    request.textTokenizer = files.textTokenizer
    request.vocabularyMap = files.vocabularyMap
    request.packing = SequencePacking(rawValue: settings.pack) ?? .none
    request.length = settings.length
    request.imageFirst = settings.order == "image-first"
    request.positions = settings.positions
    request.documents = files.documents
    try self.init(request)
    guard self.settings == settings else {
      throw TesseraError.malformed(
        "the text tokenizer, its map or the documents changed since the plan was made",
        file: files.textTokenizer ?? files.vocabularyMap ?? files.documents ?? "the plan"
      )
    }
  }

  /// The rows of sequences.
  ///
  /// - Parameters:
  ///   - source: Samples with codes, and captions where texts are written.
  ///   - manifest: What the dataset says of them.
  ///   - seed: The order of the documents; nil for that of the source.
  ///   - rejected: Takes the documents that are left out.
  /// - Returns: Rows with the columns of sequences.
  /// - Throws: `TesseraError` where the layout does not fit.
  package func rows(
    of source: any DatasetRows,
    _ manifest: DatasetManifest,
    seed: UInt64?,
    rejected: RejectedDocuments
  ) throws -> any DatasetRows {
    try SequenceRows(self, source: source, manifest, seed: seed, rejected: rejected)
  }
}

/// The files that sequences are made with beside the images, by path.
package struct SequenceFiles: Codable, Hashable, Sendable {
  /// The text tokenizer's file.
  package var textTokenizer: String?
  /// The file with the ids of token names.
  package var vocabularyMap: String?
  /// The file of documents.
  package var documents: String?

  /// No files.
  public init() {}

  /// The files of a request by paths that other processes find, too.
  init(of request: SequenceStage.Request) {
    textTokenizer = request.textTokenizer.map(WorkingFolder.absolute)
    vocabularyMap = request.vocabularyMap.map(WorkingFolder.absolute)
    documents = request.documents.map(WorkingFolder.absolute)
  }
}

/// The documents that became no sequence.
package final class RejectedDocuments: Sendable {
  private let list = Mutex<[Rejection]>([])

  /// Creates an empty list.
  package init() {}

  /// The rejections in order.
  package var rejections: [Rejection] { list.withLock { $0 } }

  func start() { list.withLock { $0.removeAll() } }
  func add(_ rejection: Rejection) { list.withLock { $0.append(rejection) } }
}
