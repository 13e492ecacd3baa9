import Foundation
import TesseraCore

/// Documents of text and images: JSON Lines, a list of parts a line
/// (`schemas/document.schema.json`): `[{"text": "a cat"}, {"image": "cats/1.jpg"}]`.
package struct DocumentFile: Sendable {
  /// A part of a document.
  package enum Part: Hashable, Sendable, Decodable {
    case text(String)
    /// The path or the key of an image.
    case image(String)

    /// Reads an object with one field.
    package init(from decoder: any Decoder) throws {
      let fields = try decoder.singleValueContainer().decode([String: String].self)
      switch (fields.count, fields["text"], fields["image"]) {
      case (1, let text?, nil): self = .text(text)
      case (1, nil, let image?): self = .image(image)
      default:
        throw DecodingError.dataCorrupted(
          .init(codingPath: [], debugDescription: "a part has one of text and image")
        )
      }
    }
  }

  /// The file.
  package let path: String
  /// Its SHA-256, 64 hexadecimal digits.
  package let sha256: String
  /// The documents, and the lines they stand in, which count from 1.
  package let documents: [(line: Int, parts: [Part])]

  /// The largest file that is read.
  private static let largest = 1 << 30

  /// Reads a file.
  ///
  /// - Throws: `TesseraError` that names the line.
  package init(path: String) throws {
    self.path = path
    let file = try FileDigest.bytes(of: path, maximumBytes: Self.largest)
    sha256 = FileDigest.sha256(of: file)
    let bytes = try TextFile.unmarked(file, from: path)
    var documents: [(line: Int, parts: [Part])] = []
    let decoder = JSONDecoder()
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      if line.allSatisfy({ [0x20, 0x09, 0x0D].contains($0) }) { continue }
      guard let parts = try? decoder.decode([Part].self, from: Data(line)), !parts.isEmpty else {
        throw TesseraError.malformed(
          "not a document such as [{\"text\": \"a cat\"}, {\"image\": \"cats/1.jpg\"}]",
          file: "\(path): line \(index + 1)"
        )
      }
      documents.append((index + 1, parts))
    }
    guard !documents.isEmpty else {
      throw TesseraError.malformed("the file holds no document", file: path)
    }
    self.documents = documents
  }

  /// The name of the file without its folders, and a line: what rejections name.
  package func source(ofLine line: Int) -> String {
    "\(path.split(separator: "/").last ?? "documents"):\(line)"
  }
}
