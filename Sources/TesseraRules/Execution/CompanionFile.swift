import Foundation
import TesseraCore

/// A file that stands beside the weights of a model in its folder, such as `config.json`.
package struct CompanionFile: Sendable, Hashable {
  /// Its content.
  package enum Content: Sendable, Hashable {
    /// The content of this file.
    case file(String)
    /// This text.
    case text(String)
    /// These bytes.
    case bytes([UInt8])
  }

  /// Its path in the folder.
  package let name: String
  /// Its content.
  package let content: Content

  /// Creates a description of a file.
  package init(name: String, content: Content) {
    (self.name, self.content) = (name, content)
  }

  /// The settings of a model.
  package static let configurationName = "config.json"

  /// The settings with another type of the weights, where they state one; the rest of the text stays as
  /// it is.
  ///
  /// - Parameter type: The type as PyTorch calls it.
  /// - Returns: The changed file; the same one where it states no type.
  /// - Throws: `TesseraError` where it cannot be read; what `FileDigest` throws where it is larger than 16 MiB.
  package func statingType(_ type: String) throws -> CompanionFile {
    guard name == Self.configurationName, case .file(let path) = content else { return self }
    let bytes = try FileDigest.bytes(of: path, maximumBytes: 16 << 20)
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
        throw TesseraError.system("open", path, errno)
      }
      defer { try? source.close() }
      var isFirst = true
      while let piece = try source.read(upToCount: 1 << 20), !piece.isEmpty {
        if isFirst, let words = FailedDownload.words(for: piece.prefix(256)) {
          throw TesseraError.malformed(words, file: path)
        }
        isFirst = false
        try file.write(Array(piece))
      }
    }
  }
}
