import TesseraCore
package import TesseraImages

/// The `rejected.jsonl` of a dataset, read a line at a time.
package struct RejectionList: Sendable {
  private let file: FileRegion

  private static let chunk = 1 << 16

  /// Opens the list of the dataset in a folder.
  ///
  /// - Throws: `TesseraError` where there is none.
  package init(folder: String) throws {
    file = try FileRegion(path: TokenDataset.file(DatasetManifest.rejectedFileName, in: folder))
  }

  /// Hands over each rejection in order.
  ///
  /// - Throws: `TesseraError` where a line is none, and what `body` throws.
  package func forEach(_ body: (Rejection) throws -> Void) throws {
    var line: [UInt8] = []
    var number = 1
    for start in stride(from: 0, to: file.length, by: Self.chunk) {
      for byte in try file.bytes(start..<min(file.length, start + Self.chunk)) {
        if byte == UInt8(ascii: "\n") {
          try body(rejection(line, number: number))
          line.removeAll(keepingCapacity: true)
          number += 1
        } else if line.count < ReadLimit.shortLine {
          line.append(byte)
        } else {
          throw TesseraError.malformed("longer than 1 MiB", file: "\(file.name): line \(number)")
        }
      }
    }
    if !line.isEmpty { try body(rejection(line, number: number)) }
  }

  private func rejection(_ line: [UInt8], number: Int) throws -> Rejection {
    do {
      return try CanonicalJSON.decode(Rejection.self, from: line)
    } catch {
      throw TesseraError.malformed("not a rejection", file: "\(file.name): line \(number)")
    }
  }
}
