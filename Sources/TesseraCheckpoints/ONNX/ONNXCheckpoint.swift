import TesseraCore

/// The weights of an ONNX model, without the graph around them: the initialisers of the graph, of the
/// graphs inside of its nodes and of training, and the tensors in attributes of nodes and functions.
///
/// Read from the wire by the few fields that matter; a field of the wrong kind is refused. Data in other
/// files are read where these lie in the model's folder.
package struct ONNXCheckpoint: TableCheckpoint {
  /// Always `onnx`.
  package let format = "onnx"
  /// Every initialiser under its name; a Constant under its output's, an attribute's tensor under that of
  /// its node and its own.
  let table: TensorTable<StorageView>

  /// Opens a model.
  ///
  /// - Throws: `TesseraError`.
  init(region: FileRegion) throws {
    var model = ONNXModel(region)
    try model.readAll()
    table = model.table.found
  }

  /// What the model says of itself, which only ONNX has a place for.
  package var metadata: CheckpointMetadata {
    CheckpointMetadata(
      strings: attributes.filter { $0.key.hasPrefix("tessera.") },
      others: attributes.keys.filter { !$0.hasPrefix("tessera.") }.sorted()
    )
  }

  /// Whether a file starts as a model does: `ir_version`, then another field of its.
  static func isONNX(_ start: [UInt8]) -> Bool {
    guard start.count > 2, start[0] == 0x08, (1...0x7F).contains(start[1]) else { return false }
    // producer_name, producer_version, domain, model_version, doc_string, graph, opset_import, …
    return [0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72].contains(start[2])
  }
}
