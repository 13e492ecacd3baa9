import ArgumentParser
import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraDatasets
import TesseraRules

/// `inspect`: what is in a checkpoint or a dataset.
struct InspectCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what is in a checkpoint or a dataset: tensors, types, shapes, notes.",
    discussion: """
      EXAMPLE
        tessera inspect model.safetensors --json

      Reads names, types and shapes, and no data. The format is found by content: HDF5 and Keras, \
      safetensors, PyTorch (zip, TorchScript, the formats before them, plain pickles), .npy and \
      .npz, GGUF, Flax (MessagePack), ONNX.

      A pickle is data: nothing in it is run or imported. Names in it that are neither tensors nor \
      plain containers are listed in the notes, the dangerous ones first.
      """
  )

  @Argument(
    help: "A checkpoint of any format, a shard index, a folder with one, or a dataset.",
    completion: .file()
  )
  var path: String

  @Option(help: "What untyped elements of this width are: Keras 2 and numpy store bfloat16 so.")
  var opaqueDtype: OpaqueType?

  @Flag(help: "Print JSON (schemas/inspect.schema.json).")
  var json = false

  @Flag(help: "Print only errors: whether the file can be read at all.")
  var quiet = false

  func run() async throws {
    if let manifest = try Self.manifest(in: path) {
      return try show(DatasetInspection(manifest), text: DatasetInspection(manifest).text)
    }
    let checkpoint = try Checkpoint.list(path, opaqueAs: opaqueDtype?.elementType)
    let inspection = CheckpointInspection(checkpoint)
    try show(inspection, text: inspection.text)
  }

  private func show(_ inspection: some Encodable, text: @autoclosure () -> String) throws {
    if quiet && !json { return }
    if json {
      try StandardOutput.writeDocument(inspection)
    } else {
      try StandardOutput.print(text())
    }
  }

  /// The manifest of a dataset's folder; nil for anything else.
  private static func manifest(in folder: String) throws -> DatasetManifest? {
    let path = "\(folder)/\(DatasetManifest.fileName)"
    guard Checkpoint.isFolder(folder), FileManager.default.fileExists(atPath: path) else {
      return nil
    }
    return try TokenDataset(path: folder).manifest
  }
}
