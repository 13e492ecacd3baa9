import Foundation
import TesseraCheckpoints
import TesseraCore

/// What stands in a model's folder beside the weights that are converted: every file of it, at any depth.
package struct ModelFolder: Sendable {
  /// The files that belong to the model whatever the format of its weights.
  package let companions: [CompanionFile]
  /// What is not carried along, by path in the folder: weights that are not converted, hidden files, links
  /// that leave the folder, and what is no file.
  package let leftOut: [String]

  /// Files that say that a folder is a model's, and not a training run's.
  private static let descriptions = [
    CompanionFile.configurationName, "params.json", "model_index.json", "adapter_config.json",
    "modules.json",
  ]
  /// Endings of weights and of a trainer's state beside those of checkpoints.
  private static let otherWeights = [
    ".index.json", ".onnx_data", ".onnx.data", ".ot", ".tflite", ".pdparams", ".distcp", ".npy",
    ".mar", ".engine", ".ggml", ".q4_0", ".pb",
  ]
  /// Deeper and larger folders are no models.
  private static let limits = (depth: 8, files: 10_000)

  /// Lists a folder.
  ///
  /// - Parameters:
  ///   - folder: The model's folder.
  ///   - weights: The files that are converted.
  ///   - output: The folder that is written; what stands in it is none of the model.
  /// - Throws: `TesseraError` where a folder cannot be listed.
  package init(_ folder: String, weights: [String], output: String? = nil) throws {
    var listing = Listing(folder: folder, skipped: output.flatMap(ModelFolder.resolved))
    listing.weights = Set(weights.compactMap(ModelFolder.resolved))
    try listing.add("", depth: 0)
    let isModel = ModelFolder.descriptions.contains { listing.carried.contains($0) }
    let carried = isModel ? listing.carried.sorted() : []
    companions = carried.map { CompanionFile(name: $0, content: .file("\(folder)/\($0)")) }
    leftOut = (listing.leftOut + (isModel ? [] : listing.carried)).sorted()
  }

  /// What is left out, in a sentence; nil where nothing is.
  package var note: String? {
    ModelFolder.list(leftOut).map { "left out of the folder: \($0)" }
  }

  /// Names, as many as a line holds.
  package static func list(_ names: [String]) -> String? {
    guard !names.isEmpty else { return nil }
    let shown = names.prefix(50).joined(separator: ", ")
    return names.count > 50 ? "\(shown) and \(names.count - 50) more" : shown
  }

  private static func resolved(_ path: String) -> String? {
    guard let real = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(real) }
    return unsafe String(cString: real)
  }

  /// A walk through the folder.
  private struct Listing {
    let folder: String
    let skipped: String?
    var weights: Set<String> = []
    var carried: [String] = []
    var leftOut: [String] = []

    init(folder: String, skipped: String?) {
      (self.folder, self.skipped) = (folder, skipped)
    }

    mutating func add(_ place: String, depth: Int) throws {
      let path = place.isEmpty ? folder : "\(folder)/\(place)"
      let names: [String]
      do {
        names = try FileManager.default.contentsOfDirectory(atPath: path)
      } catch {
        throw TesseraError.system("list the folder", path, EIO)
      }
      for name in names.sorted() {
        try add(name, in: place, depth: depth)
      }
    }

    private mutating func add(_ name: String, in place: String, depth: Int) throws {
      let inside = place.isEmpty ? name : "\(place)/\(name)"
      let path = "\(folder)/\(inside)"
      guard carried.count + leftOut.count < ModelFolder.limits.files else {
        let operation = "carry more than 10000 files of the folder"
        throw TesseraError.system(operation, folder, E2BIG)
      }
      var (status, link) = (stat(), stat())
      guard unsafe lstat(path, &link) == 0, unsafe stat(path, &status) == 0 else {
        leftOut.append(inside)
        return
      }
      let isFolder = status.st_mode & S_IFMT == S_IFDIR
      let isLink = link.st_mode & S_IFMT == S_IFLNK
      if let real = ModelFolder.resolved(path), real == skipped || weights.contains(real) { return }
      if name.hasPrefix(".") || isFolder && (isLink || depth >= ModelFolder.limits.depth) {
        leftOut.append(isFolder ? inside + "/" : inside)
      } else if isFolder {
        try add(inside, depth: depth + 1)
      } else if status.st_mode & S_IFMT != S_IFREG || isWeights(name)
        || isLink && !Checkpoint.isInside(inside, of: folder)
      {
        // An index of what is converted is made anew.
        if place.isEmpty, name.hasSuffix(".index.json") { return }
        leftOut.append(inside)
      } else {
        carried.append(inside)
      }
    }

    private func isWeights(_ name: String) -> Bool {
      (Checkpoint.endings + ModelFolder.otherWeights).contains { name.hasSuffix($0) }
    }
  }
}
