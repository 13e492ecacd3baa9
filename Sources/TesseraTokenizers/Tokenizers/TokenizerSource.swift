internal import CTesseraF8
import Foundation
internal import TesseraCheckpoints
internal import TesseraCore

/// A tokenizer's weights, networks and description, found by name or path.
struct TokenizerSource {
  let description: TokenizerDescription
  let model: FamilyModel
  let weights: FamilyWeights
  /// The SHA-256 of the file of the weights, 64 hexadecimal digits; of an index and its shards, that of their
  /// digests, a line each.
  let sha256: String

  /// Finds a tokenizer: `tessera-f8`, `FAMILY:FILE`, a JSON description, a folder with `tokenizer.json`, or a
  /// checkpoint that holds its description.
  init(_ tokenizer: String) throws {
    if tokenizer == ImageTokenizer.embeddedName {
      try self.init(embedded: tokenizer)
    } else if let name = try TokenizerName(tokenizer) {
      try self.init(name, as: tokenizer)
    } else {
      try self.init(path: tokenizer)
    }
  }

  /// The quantizer with its arrays.
  ///
  /// - Parameter tokenizer: What the tokenizer was asked for as, for messages.
  /// - Returns: The quantizer.
  /// - Throws: `TesseraError` where the arrays are none of a quantizer's.
  func quantizer(of tokenizer: String) throws -> Quantizer {
    do {
      return try Quantizer(model.quantizer, parameter: weights.floats)
    } catch let error as TesseraError {
      throw error.in(tokenizer)
    }
  }

  private init(embedded tokenizer: String) throws {
    let embedded = unsafe UnsafeBufferPointer(start: tessera_f8_data(), count: tessera_f8_size)
    let bytes = unsafe [UInt8](embedded)
    try self.init(
      describedBy: try HDF5Checkpoint(bytes: bytes, name: tokenizer),
      source: tokenizer,
      sha256: FileDigest.sha256(of: bytes)
    )
  }

  private init(path tokenizer: String) throws {
    var isFolder: ObjCBool = false
    guard unsafe FileManager.default.fileExists(atPath: tokenizer, isDirectory: &isFolder) else {
      throw TesseraError(
        .inputOutput,
        "no such file, and no name: the only tokenizer built in is "
          + "\(ImageTokenizer.embeddedName), and families are named as FAMILY:FILE "
          + "(see 'tessera tokenizers')",
        file: tokenizer
      )
    }
    let path = isFolder.boolValue ? tokenizer + "/tokenizer.json" : tokenizer
    if path.lowercased().hasSuffix(".json"), !path.hasSuffix(".safetensors.index.json") {
      try self.init(descriptionAt: path)
    } else {
      let checkpoint = try Checkpoint.open(path)
      let sha256 = try Self.sha256(of: checkpoint, at: Checkpoint.file(of: path))
      try self.init(describedBy: checkpoint, source: path, sha256: sha256)
    }
  }

  private init(descriptionAt path: String) throws {
    let json = try TextFile.bytes(of: path, maximumBytes: ReadLimit.description)
    if let words = FailedDownload.words(for: json.prefix(256)) {
      throw TesseraError.malformed(words, file: path)
    }
    let description = try TokenizerDescription(parsing: json, source: path)
    guard let name = description.checkpoint else {
      throw TesseraError.mismatch("the field 'checkpoint' is missing", file: path)
    }
    // A description may come from elsewhere: it must not reach outside its own folder.
    let file = try SafePath.path(of: name, beside: path) { fault in
      TesseraError.malformed(
        "checkpoint '\(name)' \(fault); put it into the description's folder",
        file: path
      )
    }
    let checkpoint = try Checkpoint.open(file)
    let sha256 = try Self.sha256(of: checkpoint, at: Checkpoint.file(of: file))
    try self.init(description, [checkpoint], sha256: sha256, path)
  }

  private init(describedBy checkpoint: any CheckpointReader, source: String, sha256: String) throws
  {
    guard let json = checkpoint.attributes["tokenizer"] else {
      throw TesseraError.mismatch(
        "the file does not say which tokenizer it is (no attribute 'tokenizer'); name its "
          + "family as FAMILY:FILE (see 'tessera tokenizers'), or family, quantizer and "
          + "preprocessing in a JSON file beside it",
        file: source
      )
    }
    let description = try TokenizerDescription(parsing: Array(json.utf8), source: source)
    try self.init(description, [checkpoint], sha256: sha256, source)
  }

  /// A tokenizer whose description names quantizer and preprocessing.
  private init(
    _ description: TokenizerDescription,
    _ checkpoints: [any CheckpointReader],
    sha256: String,
    _ source: String
  ) throws {
    let family = FamilyEntry.entry(of: description.family)
    var choices = FamilyModel.Choices()
    choices.quantizer = description.quantizer
    self.description = description
    (model, weights) = try Self.model(of: checkpoints, family, choices, source)
    self.sha256 = sha256
  }

  /// A family's checkpoint.
  private init(_ name: TokenizerName, as tokenizer: String) throws {
    let files = try Self.files(of: name)
    let checkpoints = try files.map { try Checkpoint.open($0) }
    let choices = FamilyModel.Choices(
      weights: name.weights,
      levels: name.levels,
      scales: name.scales,
      rule: name.profile.rule,
      endsWithTanh: name.endsWithTanh
    )
    (model, weights) = try Self.model(of: checkpoints, name.family, choices, tokenizer)
    description = TokenizerDescription(
      name: "\(name.selector):\(URL(filePath: name.path).lastPathComponent)",
      family: name.family.family,
      quantizer: model.quantizer,
      preprocessing: name.profile.preprocessing
    )
    // Codes come from the encoder, which is the first of two files.
    sha256 = try Self.sha256(of: checkpoints[0], at: files[0])
  }

  /// The digest of every file that says what the weights are: the one, or the index and its shards in order.
  private static func sha256(of checkpoint: any CheckpointReader, at path: String) throws -> String
  {
    let others = checkpoint.files.filter { $0 != path }
    return try FileDigest.sha256(ofAll: [path] + others)
  }

  /// The files of a family's checkpoint: one, or the two halves in a folder.
  private static func files(of name: TokenizerName) throws -> [String] {
    for ending in ["jit", "safetensors"] {
      let halves = ["encoder", "decoder"].map { "\(name.path)/\($0).\(ending)" }
      if halves.allSatisfy(FileManager.default.fileExists(atPath:)) { return halves }
    }
    return [try Checkpoint.file(of: name.path)]
  }

  private static func model(
    of checkpoints: [any CheckpointReader],
    _ family: FamilyEntry,
    _ choices: FamilyModel.Choices,
    _ tokenizer: String
  ) throws -> (FamilyModel, FamilyWeights) {
    let shapes = checkpoints.map { checkpoint in
      Dictionary(checkpoint.tensors.map { ($0.name, $0.shape) }) { first, _ in first }
    }
    do {
      var tensors: FamilyTensors?
      for (checkpoint, shapes) in zip(checkpoints, shapes) {
        let found =
          if family.architecture == .finiteScalar, let keras = checkpoint as? HDF5Checkpoint {
            FamilyTensors(keras: try KerasModel(reading: keras))
          } else {
            try FamilyTensors(
              shapes,
              of: family,
              weights: choices.weights,
              named: choices.quantizer?.tensorNames ?? []
            )
          }
        if tensors == nil { tensors = found } else { tensors?.add(found) }
      }
      guard let tensors else { throw TesseraError.unrecognized(name: "weights", reason: "missing") }
      let model = try FamilyModel(tensors, of: family, choices: choices)
      let weights = FamilyWeights(tensors, in: checkpoints)
      try weights.checkConstants(of: model.quantizer)
      return (model, weights)
    } catch let error as TesseraError where error.detail == .parameter {
      let all = shapes.reduce(into: [:]) { $0.merge($1) { first, _ in first } }
      throw TesseraError.mismatch("\(error)\(advice(all, family.family))", file: tokenizer)
    } catch let error as TesseraError {
      throw error.in(tokenizer)
    }
  }

  /// Which family the tensors belong to, or come closest to.
  private static func advice(_ shapes: [String: Shape], _ family: TokenizerFamily) -> String {
    let nearest = FamilyModel.nearest(shapes)
    let names = nearest?.families.map(\.rawValue).joined(separator: ", ") ?? ""
    if let nearest, nearest.misfits == 0, !nearest.families.contains(family) {
      return "; the tensors are those of \(names)"
    }
    // A file of the family that lost something is not another family's.
    let entry = FamilyEntry.entry(of: family)
    let isFound =
      entry.architecture == .finiteScalar
      || (try? FamilyTensors(shapes, of: entry, weights: nil)) != nil
    if isFound || nearest?.families.contains(family) == true { return "" }
    return nearest.map {
      "; the nearest family is \(names), which \($0.misfits) tensors do not fit"
    } ?? "; no family has such names"
  }
}
