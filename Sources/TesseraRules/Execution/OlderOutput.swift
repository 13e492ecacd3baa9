import Foundation
package import TesseraCheckpoints
import TesseraCore

/// Checkpoints of the same name that stand where a conversion writes: a loader that finds two takes one of
/// them without a word.
package struct OlderOutput {
  private let path: String
  private let format: CheckpointFormat

  package init(of path: String, format: CheckpointFormat) {
    (self.path, self.format) = (path, format)
  }

  /// The name that stands for the checkpoint, be it one file or shards: what two runs may not both make.
  package var claim: String? {
    format == .safetensors ? "\(AtomicFile.name(of: stem)).safetensors" : nil
  }

  private var stem: String {
    path.hasSuffix(".safetensors") ? String(path.dropLast(".safetensors".count)) : path
  }

  /// The single file, the index and the shards, those of the new output left out.
  ///
  /// Shards are those that the index names and those whose names say so: a run that was killed while it
  /// replaced them had removed the index first.
  package func files(besides new: [String]) throws -> [String] {
    guard format == .safetensors else { return [] }
    let index = "\(stem).safetensors.index.json"
    var names: Set<String> = []
    if FileManager.default.fileExists(atPath: index) {
      let bytes = try FileDigest.bytes(of: index, maximumBytes: 1 << 28)
      let text = String(decoding: bytes, as: UTF8.self)
      let map = try? JSONValue(parsing: text)["weight_map"]?.object
      let own = AtomicFile.name(of: stem) + "-"
      names = Set((map ?? [:]).values.compactMap(\.string))
        .filter { $0.hasPrefix(own) && !$0.contains("/") }
    }
    names.formUnion(try shards())
    let files = [path, index] + names.sorted().map { AtomicFile.sibling($0, of: path) }
    return files.filter { !new.contains($0) && FileManager.default.fileExists(atPath: $0) }
  }

  /// The files of the folder that are named as shards of this checkpoint: `model-00001-of-00003.safetensors`.
  private func shards() throws -> [String] {
    let folder = AtomicFile.folder(of: path)
    let names: [String]
    do throws(TesseraError) {
      names = try FolderListing.names(of: folder.isEmpty ? "/" : folder)
    } catch {
      // Not there yet, or one may write to it and not list it.
      if [ENOENT, EACCES].contains(error.code) { return [] }
      throw error
    }
    let own = AtomicFile.name(of: stem) + "-"
    return names.filter { name in
      name.hasPrefix(own)
        && name.dropFirst(own.count).wholeMatch(of: /[0-9]{5,}-of-[0-9]{5,}\.safetensors/) != nil
    }
  }
}
