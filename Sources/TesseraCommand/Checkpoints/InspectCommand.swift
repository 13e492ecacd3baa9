import ArgumentParser
import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraDatasets
import TesseraRules

/// `inspect`: what is in a checkpoint or a dataset.
struct InspectCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a checkpoint or a dataset holds: tensors, types, shapes, notes.",
    discussion: """
      EXAMPLE
        tessera inspect model.safetensors --json

      Reads names, types and shapes, and no data. The format is found by content: HDF5 and Keras, \
      safetensors, PyTorch (zip, TorchScript, the formats before them, plain pickles), .npy and .npz, \
      GGUF, Flax (MessagePack), ONNX.

      A pickle is data: nothing in it is run or imported. Names in it that are neither tensors nor \
      plain containers stand in the notes, the dangerous ones first.
      """
  )

  @Argument(
    help: "A checkpoint of any format, a shard index, a folder with one, or a dataset.",
    completion: .file()
  )
  var path: String

  @Option(help: "What untyped elements of this width are: Keras 2 and numpy store bfloat16 so.")
  var opaqueDtype: OpaqueType?

  @Flag(help: "Print JSON (schemas/inspect.schema.json).")
  var json = false

  @Flag(help: "Print only errors: whether the file can be read at all.")
  var quiet = false

  func run() async throws {
    if let manifest = try Self.manifest(in: path) {
      return try show(DatasetInspection(manifest), text: DatasetInspection(manifest).text)
    }
    let checkpoint = try Checkpoint.list(path, opaqueAs: opaqueDtype?.elementType)
    let inspection = CheckpointInspection(checkpoint)
    try show(inspection, text: inspection.text)
  }

  private func show(_ inspection: some Encodable, text: @autoclosure () -> String) throws {
    if quiet && !json { return }
    if json {
      try StandardOutput.writeDocument(inspection)
    } else {
      try StandardOutput.print(text())
    }
  }

  /// The manifest of a dataset's folder; nil for anything else.
  private static func manifest(in folder: String) throws -> DatasetManifest? {
    let path = "\(folder)/\(DatasetManifest.fileName)"
    guard Checkpoint.isFolder(folder), FileManager.default.fileExists(atPath: path) else {
      return nil
    }
    return try TokenDataset(path: folder).manifest
  }
}

/// `inspect` of a checkpoint.
struct CheckpointInspection: Encodable {
  struct Entry: Encodable {
    let name: String
    let dtype: String
    let shape: [Int]
    let aliasOf: String?

    enum CodingKeys: String, CodingKey {
      case name, dtype, shape
      case aliasOf = "alias_of"
    }
  }

  let format: String
  let tensors: [Entry]
  let attributes: [String: String]
  let notes: [String]
  /// What `--pick ema` chooses from; nil where no name says anything of averages or students.
  let candidates: [Candidate]?
  private let byteCount: Int

  enum CodingKeys: String, CodingKey {
    case format, tensors, attributes, notes, candidates
  }

  struct Candidate: Encodable {
    let prefix: String
    let role: String
    let score: Int
    let tensors: Int
  }

  init(_ checkpoint: any CheckpointReader) {
    format = checkpoint.format
    tensors = checkpoint.tensors.map { tensor in
      Entry(
        name: tensor.name,
        dtype: tensor.elementType.rawValue,
        shape: tensor.shape.dimensions,
        aliasOf: tensor.aliasOf
      )
    }
    attributes = checkpoint.attributes
    notes = checkpoint.notes
    let found = WeightCandidate.all(among: checkpoint.tensors)
    let candidates = found.map { candidate in
      Candidate(
        prefix: candidate.prefix,
        role: candidate.role.rawValue,
        score: candidate.role.score,
        tensors: candidate.tensors
      )
    }
    self.candidates = candidates.contains { $0.score > 0 } ? candidates : nil
    byteCount = checkpoint.tensors.filter { $0.aliasOf == nil }.reduce(0) { sum, tensor in
      sum &+ (tensor.shape.elementCount.flatMap { tensor.elementType.byteCount(elements: $0) } ?? 0)
    }
  }

  /// A table; long attributes are cut.
  var text: String {
    let rows = tensors.map { tensor in
      let alias = tensor.aliasOf.map { "  = \($0)" } ?? ""
      return [tensor.name.printable, tensor.dtype, "\(tensor.shape)\(alias)".printable]
    }
    var lines = ["format: \(format)"] + TextTable.lines(rows)
    for (key, value) in attributes.sorted(by: { $0.key < $1.key }) {
      let shown = value.count > 80 ? "\(value.prefix(80))… (\(value.count) characters)" : value
      lines.append("attribute \(key): \(shown)".printable)
    }
    lines += notes.map { "note: \($0)".printable }
    for candidate in candidates ?? [] {
      let kind = "\(candidate.role), score \(candidate.score)"
      lines.append("weights: \(candidate.prefix) (\(kind), \(candidate.tensors) tensors)".printable)
    }
    let megabytes = (Double(byteCount) / 1e6).rounded(places: 1)
    lines.append("\(tensors.count) tensors, \(megabytes) MB")
    return lines.joined(separator: "\n")
  }
}

/// `inspect` of a dataset.
struct DatasetInspection: Encodable {
  let format: String
  let samples: Int
  let tokens: Int
  let rejected: Int
  let columns: [String]
  let shards: [DatasetShard]
  let tokenizer: String
  let positions: String

  init(_ manifest: DatasetManifest) {
    format = manifest.settings.format
    samples = manifest.samples
    tokens = manifest.tokens
    rejected = manifest.rejected
    columns = manifest.columns
    shards = manifest.shards
    tokenizer = manifest.settings.tokenizer.name
    positions = manifest.settings.positions
  }

  /// A table of shards under the totals.
  var text: String {
    let rows = shards.map { shard in
      [shard.name, "\(shard.samples) samples", "\(shard.tokens) tokens", "\(shard.bytes) bytes"]
    }
    let lines =
      [
        "format: \(format)", "tokenizer: \(tokenizer)", "positions: \(positions)",
        "columns: \(columns.joined(separator: ", "))",
      ] + TextTable.lines(rows)
    let totals = "\(samples) samples, \(tokens) tokens, \(rejected) rejected"
    return (lines + [totals]).joined(separator: "\n").printable
  }
}

extension String {
  /// The text with control characters escaped: names from a file must not steer a terminal.
  fileprivate var printable: String {
    unicodeScalars.reduce(into: "") { text, scalar in
      let isControl = scalar.properties.generalCategory == .control && scalar != "\n"
      text += isControl ? scalar.escaped(asASCII: true) : String(scalar)
    }
  }
}
