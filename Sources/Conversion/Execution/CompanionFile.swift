import Foundation
import Readers
import Writers

/// A file that stands beside the weights of a model in its folder, such as `config.json`.
public struct CompanionFile: Sendable, Hashable {
  /// Its content.
  public enum Content: Sendable, Hashable {
    /// The content of this file.
    case file(String)
    /// This text.
    case text(String)
    /// These bytes.
    case bytes([UInt8])
  }

  /// Its name in the folder.
  public let name: String
  /// Its content.
  public let content: Content

  /// Creates a description of a file.
  public init(name: String, content: Content) {
    self.name = name
    self.content = content
  }

  /// The files of a Hugging Face folder that are no weights: settings, tokenizer, licence, card.
  ///
  /// Programs and weights in other formats are not among them.
  ///
  /// - Parameter folder: The folder.
  /// - Returns: The files by name; none where the folder has no `config.json`.
  public static func all(inHuggingFaceFolder folder: String) -> [CompanionFile] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    guard names.contains(configurationName) else { return [] }
    return names.filter(isCompanion).sorted().map { name in
      CompanionFile(name: name, content: .file("\(folder)/\(name)"))
    }
  }

  /// The settings of a model.
  public static let configurationName = "config.json"

  private static func isCompanion(_ name: String) -> Bool {
    if name.hasPrefix(".") || name.hasSuffix(".index.json") { return false }
    let endings = [".json", ".jsonl", ".model", ".txt", ".tiktoken", ".jinja", ".spm", ".vocab"]
    if endings.contains(where: name.hasSuffix) { return true }
    return ["LICENSE", "NOTICE", "README", "USE_POLICY"].contains { name.hasPrefix($0) }
  }

  /// The settings with another type of the weights, where they state one and are no larger than
  /// 1 MiB; the rest of the text stays as it is.
  ///
  /// - Parameter type: The type as PyTorch calls it.
  /// - Returns: The changed file; the same one where it states no type.
  public func statingType(_ type: String) -> CompanionFile {
    guard name == Self.configurationName, case .file(let path) = content,
      let bytes = try? FileDigest.bytes(of: path, maximumBytes: 1 << 20)
    else { return self }
    let pattern = /("(?:torch_)?dtype"\s*:\s*")(?:float(?:16|32|64)|bfloat16)(")/
    let text = String(decoding: bytes, as: UTF8.self)
    let changed = text.replacing(pattern) { "\($0.output.1)\(type)\($0.output.2)" }
    return CompanionFile(name: name, content: .text(changed))
  }

  /// Writes the content.
  func write(to file: inout AtomicFile) throws {
    switch content {
    case .text(let text): try file.write(Array(text.utf8))
    case .bytes(let bytes): try file.write(bytes)
    case .file(let path):
      guard let source = FileHandle(forReadingAtPath: path) else {
        throw FileError(operation: "open", path: path, code: errno)
      }
      defer { try? source.close() }
      var isFirst = true
      while let piece = try source.read(upToCount: 1 << 20), !piece.isEmpty {
        if isFirst, let words = FailedDownload.words(for: piece.prefix(256)) {
          throw CheckpointError(path: path, cause: words)
        }
        isFirst = false
        try file.write(Array(piece))
      }
    }
  }
}
