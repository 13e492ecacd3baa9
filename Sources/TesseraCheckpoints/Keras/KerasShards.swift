import Foundation
import TesseraCore

/// Keras 3's weights in several files under an index, as `save_weights("x.weights.json",
/// max_shard_size=…)` writes them: `{"metadata": {…}, "weight_map": {"/layers/dense/vars": [file]}}`.
struct KerasShards {
  /// The ending of an index's name.
  static let suffix = ".weights.json"

  /// The files, open, in the order of their names.
  let files: [HDF5File]
  /// Their paths.
  let paths: [String]
  private let index: String
  /// The files that hold a group of variables, by its path without the first slash.
  private let filesOfGroup: [String: Set<String>]

  private static let indexLimit = 100 << 20

  /// Opens an index and all the files that it names.
  ///
  /// - Throws: `TesseraError`.
  init(path: String) throws {
    let bytes = try FileDigest.bytes(of: path, maximumBytes: Self.indexLimit)
    func refusal(_ place: String, _ cause: String) -> TesseraError {
      TesseraError.malformed(cause, file: path, place: place)
    }
    guard let json = try? JSONValue(parsing: String(decoding: bytes, as: UTF8.self)),
      let map = json["weight_map"]?.object, !map.isEmpty
    else { throw refusal("", "no index of Keras' weights: it has no weight_map") }
    var filesOfGroup: [String: Set<String>] = [:]
    for (group, value) in map {
      let names = value.string.map { [$0] } ?? value.array?.compactMap(\.string) ?? []
      guard !names.isEmpty else { throw refusal(group, "the weight_map names no file") }
      filesOfGroup[String(group.drop { $0 == "/" })] = Set(names)
    }
    let names = Set(filesOfGroup.values.flatMap { $0 }).sorted()
    paths = try names.map { name in
      try SafePath.path(of: name, beside: path) { refusal("'\(name)'", $0) }
    }
    files = try paths.map { try HDF5File(region: FileRegion(path: $0)) }
    self.filesOfGroup = filesOfGroup
    index = path
  }

  /// Makes sure that the files hold what the index says: variables of each group, and of no other.
  func check(_ tensors: [TensorInfo]) throws(TesseraError) {
    let groups = Set(tensors.map { ($0.name as NSString).deletingLastPathComponent })
    if let other = groups.subtracting(filesOfGroup.keys).min() {
      let cause = "is in a file that the index names, but not in the weight_map"
      throw TesseraError.malformed(cause, file: index, place: other)
    }
    if let missing = Set(filesOfGroup.keys).subtracting(groups).min() {
      let names = filesOfGroup[missing, default: []].sorted().joined(separator: ", ")
      let cause = "the weight_map says '\(names)', which holds no variable of it"
      throw TesseraError.malformed(cause, file: index, place: missing)
    }
  }

  /// What is wrong with one file that is read by itself although an index beside it names others.
  static func refusals(ofPart files: [String]) -> [TensorRefusal] {
    guard files.count == 1, let path = files.first,
      let match = path.wholeMatch(of: /(.*)_[0-9]{5}\.weights\.h5/)
    else { return [] }
    let index = "\(match.output.1)\(suffix)"
    guard FileManager.default.fileExists(atPath: index) else { return [] }
    return [TensorRefusal("", "one part of several of a model's weights: convert '\(index)'")]
  }
}
