import Foundation
import TesseraCore

/// `files.jsonl`: the small files of a dataset of which there are one or more a sample, a line each
/// (`schemas/files.schema.json`), in the order in which they were written.
package struct DatasetFileList: Sendable {
  /// The name in the dataset's folder.
  package static let fileName = "files.jsonl"

  private let path: String

  /// Names the list of the dataset in a folder.
  ///
  /// - Throws: `TesseraError` where it is a link that leaves the folder.
  package init(folder: String) throws { path = try TokenDataset.file(Self.fileName, in: folder) }

  /// Hands over each file in order.
  ///
  /// - Throws: `TesseraError` where a line is damaged, and what `body` throws.
  package func forEach(_ body: (DatasetFile) throws -> Void) throws {
    var file = try FileStream(path: path)
    var number = 1
    while let line = try file.line(longest: ReadLimit.shortLine) {
      try body(ManifestFile.decode(DatasetFile.self, from: line, of: "\(path): line \(number)"))
      number += 1
    }
  }
}

extension DatasetFile {
  /// Looks at a file that is finished.
  ///
  /// - Throws: `TesseraError`.
  package init(of path: String, named name: String) throws {
    self.init(
      name: name,
      bytes: try FileDigest.size(of: path),
      sha256: try FileDigest.sha256(of: path)
    )
  }

  /// The line of a list.
  package var line: [UInt8] {
    var line = Array("{\"bytes\":\(bytes),\"name\":".utf8)
    JSONBytes.appendQuoted(Array(name.utf8), to: &line)
    line += Array(",\"sha256\":\"\(sha256)\"}\n".utf8)
    return line
  }
}
