import Tensors

/// A `.keras` file: a zip archive of `metadata.json`, `config.json` and the weights.
struct KerasArchive: Sendable {
  /// The HDF5 file with the weights.
  let weights: FileRegion
  /// The model's description, JSON.
  let configuration: String
  /// The strings of `metadata.json`, such as `keras_version`.
  let attributes: [String: String]

  private static let textLimit = 64 << 20

  /// Opens an archive, or returns nil where the file is no zip file.
  init?(region: FileRegion) throws {
    guard try ZipArchive.isArchive(region) else { return nil }
    let archive = try ZipArchive(region: region)
    guard let weights = archive["model.weights.h5"] else {
      throw ArchiveError(file: region.name, cause: KerasArchive.missingWeights(in: archive))
    }
    configuration = try KerasArchive.text("config.json", in: archive)
    let metadata = try KerasArchive.text("metadata.json", in: archive)
    guard let values = try? JSONValue(parsing: metadata).object else {
      throw ArchiveError(file: region.name, member: "metadata.json", cause: "is no JSON object")
    }
    attributes = values.compactMapValues(\.string)
    self.weights = try archive.contents(of: weights)
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
      throw ArchiveError(file: archive.region.name, cause: "a .keras archive without \(name)")
    }
    let bytes = try archive.bytes(of: member, limit: textLimit)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw ArchiveError(file: archive.region.name, member: name, cause: "is not UTF-8")
    }
    return text
  }
}
