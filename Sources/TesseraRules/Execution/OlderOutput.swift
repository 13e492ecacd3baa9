import Foundation
import TesseraCheckpoints
import TesseraCore

/// Checkpoints of the same name that stand where a conversion writes: a loader that finds two takes one of
/// them without a word.
struct OlderOutput {
  private let path: String
  private let format: CheckpointFormat

  init(of path: String, format: CheckpointFormat) {
    self.path = path
    self.format = format
  }

  /// The single file, the index and the shards of that index, those of the new output left out.
  func files(besides new: [String]) throws -> [String] {
    guard format == .safetensors else { return [] }
    let stem = path.hasSuffix(".safetensors") ? String(path.dropLast(".safetensors".count)) : path
    let index = "\(stem).safetensors.index.json"
    var files = [path, index]
    if FileManager.default.fileExists(atPath: index) {
      let bytes = try FileDigest.bytes(of: index, maximumBytes: 1 << 28)
      let text = String(decoding: bytes, as: UTF8.self)
      let map = try? JSONValue(parsing: text)["weight_map"]?.object
      let names = Set((map ?? [:]).values.compactMap(\.string))
      let own = (stem as NSString).lastPathComponent + "-"
      files += names.filter { $0.hasPrefix(own) && !$0.contains("/") }.sorted().map {
        AtomicFile.sibling($0, of: path)
      }
    }
    return files.filter { !new.contains($0) && FileManager.default.fileExists(atPath: $0) }
  }
}
