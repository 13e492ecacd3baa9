import TesseraCore

/// A `.keras` file, a zip archive of `metadata.json`, `config.json` and the weights; or the folder of
/// these that `Model.save(zipped=False)` writes.
struct KerasArchive: Sendable {
  /// The HDF5 file with the weights.
  let weights: FileRegion
  /// The model's description, JSON.
  let configuration: String
  /// The strings of `metadata.json`, such as `keras_version`.
  let attributes: [String: String]

  /// The files beside the weights, which only such an archive or folder has a place for.
  let names: [String]

  private static let textLimit = 64 << 20

  /// Opens an archive, or returns nil where the file is no zip file.
  init?(region: FileRegion) throws {
    guard try ZipArchive.isArchive(region) else { return nil }
    let archive = try ZipArchive(region: region)
    guard let weights = archive["model.weights.h5"] else {
      throw TesseraError.malformed(KerasArchive.missingWeights(in: archive), file: region.name)
    }
    configuration = try KerasArchive.text("config.json", in: archive)
    let metadata = try KerasArchive.text("metadata.json", in: archive)
    guard let values = try? JSONValue(parsing: metadata).object else {
      throw TesseraError.malformed("is no JSON object", file: region.name, place: "metadata.json")
    }
    attributes = values.compactMapValues(\.string)
    names = archive.members.map(\.name).filter { $0 != "model.weights.h5" && !$0.hasSuffix("/") }
    self.weights = try archive.contents(of: weights)
  }

  /// The folder of a file of weights, or nil where it is not one that Keras wrote.
  init?(besides weights: FileRegion) throws {
    guard weights.name.split(separator: "/").last == "model.weights.h5",
      let metadata = try? JSONValue(parsing: KerasArchive.text("metadata.json", beside: weights))
        .object,
      metadata["keras_version"] != nil,
      let configuration = try? KerasArchive.text("config.json", beside: weights),
      try JSONValue(parsing: configuration)["class_name"] != nil
    else { return nil }
    self.configuration = configuration
    attributes = metadata.compactMapValues(\.string)
    names = ["config.json", "metadata.json"]
    self.weights = weights
  }

  private static func text(_ name: String, beside weights: FileRegion) throws -> String {
    let path = try SafePath.path(of: name, beside: weights.name) {
      TesseraError.malformed($0, file: name)
    }
    let bytes = try FileDigest.bytes(of: path, maximumBytes: textLimit)
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func missingWeights(in archive: ZipArchive) -> String {
    let names = archive.members.map(\.name)
    if names.contains("model.weights.npz") || names.contains("model.weights.json") {
      return "a .keras archive whose weights are not one HDF5 file; "
        + "save it with weights_format='h5'"
    }
    return "a zip file without model.weights.h5: no .keras archive"
  }

  private static func text(_ name: String, in archive: ZipArchive) throws -> String {
    guard let member = archive[name] else {
      throw TesseraError.malformed("a .keras archive without \(name)", file: archive.region.name)
    }
    let bytes = try archive.bytes(of: member, limit: textLimit)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw TesseraError.malformed("is not UTF-8", file: archive.region.name, place: name)
    }
    return text
  }
}
