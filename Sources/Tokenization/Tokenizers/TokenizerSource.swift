internal import CTesseraF8
import Foundation
internal import Readers
internal import Tensors

/// The weights of a tokenizer and their description, found by name or path.
struct TokenizerSource {
  let description: TokenizerDescription
  let checkpoint: any CheckpointReader
  /// The SHA-256 of the file of the weights, 64 hexadecimal digits.
  let sha256: String

  /// Finds a tokenizer: `tessera-f8`, a JSON description, a folder with `tokenizer.json`, or a
  /// checkpoint that holds its description.
  init(_ tokenizer: String) throws {
    if tokenizer == ImageTokenizer.embeddedName {
      let embedded = unsafe UnsafeBufferPointer(start: tessera_f8_data(), count: tessera_f8_size)
      let bytes = unsafe [UInt8](embedded)
      let checkpoint = try HDF5Checkpoint(bytes: bytes, name: tokenizer)
      try self.init(
        describedBy: checkpoint,
        source: tokenizer,
        sha256: FileDigest.sha256(of: bytes)
      )
      return
    }
    var isFolder: ObjCBool = false
    guard unsafe FileManager.default.fileExists(atPath: tokenizer, isDirectory: &isFolder) else {
      throw TokenizerError(
        tokenizer: tokenizer,
        reason: "no such file, and the only tokenizer built in is \(ImageTokenizer.embeddedName)",
        kind: .inputOutput
      )
    }
    let path = isFolder.boolValue ? tokenizer + "/tokenizer.json" : tokenizer
    if path.lowercased().hasSuffix(".json") {
      try self.init(descriptionAt: path)
    } else {
      let checkpoint = try Checkpoint.open(path)
      try self.init(describedBy: checkpoint, source: path, sha256: FileDigest.sha256(of: path))
    }
  }

  private init(descriptionAt path: String) throws {
    let json = try FileDigest.bytes(of: path, maximumBytes: 1 << 20)
    description = try TokenizerDescription(parsing: json, source: path)
    guard let name = description.checkpoint else {
      throw TokenizerError(tokenizer: path, reason: "the field 'checkpoint' is missing")
    }
    // A description may come from elsewhere: it must not reach outside its own folder.
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    guard !name.isEmpty, !parts.contains(".."), parts.first != "" else {
      throw TokenizerError(
        tokenizer: path,
        reason: "checkpoint '\(name)' is not below the description's folder",
        kind: .malformedInput
      )
    }
    let file = URL(filePath: path).deletingLastPathComponent().appending(path: name).path
    checkpoint = try Checkpoint.open(file)
    sha256 = try FileDigest.sha256(of: file)
  }

  private init(describedBy checkpoint: any CheckpointReader, source: String, sha256: String) throws
  {
    guard let json = checkpoint.attributes["tokenizer"] else {
      throw TokenizerError(
        tokenizer: source,
        reason: "the file does not say which tokenizer it is (no attribute 'tokenizer'); "
          + "name family, quantizer and preprocessing in a JSON file beside it"
      )
    }
    description = try TokenizerDescription(parsing: Array(json.utf8), source: source)
    self.checkpoint = checkpoint
    self.sha256 = sha256
  }
}
