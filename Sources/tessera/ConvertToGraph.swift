import ArgumentParser
import Readers
import Tokenization
import Writers

/// `convert TOKENIZER -o FILE.onnx`: the encoder as a graph that other runtimes compute.
extension ConvertCommand {
  /// Whether a graph is asked for, not a checkpoint.
  var writesGraph: Bool { output?.lowercased().hasSuffix(".onnx") == true }

  /// Refuses options that belong to checkpoints.
  func checkGraph() throws {
    if plan || to != nil || shardSize != nil || opaqueDtype != nil {
      throw ValidationError(
        "-o FILE.onnx writes a tokenizer's encoder; --plan, --to, --shard-size and --opaque-dtype belong to checkpoints"
      )
    }
  }

  /// Writes the encoder.
  func writeGraph() throws {
    guard let output else { return }
    let parts = try TokenizerParts(opening: input)
    let summary = try ONNXEncoderFile.write(
      parts,
      to: output,
      toolVersion: Tessera.version,
      reading: [input]
    )
    report.note(
      "convert: \(parts.description.name) as ONNX, opset 17: \(summary.nodes) nodes, \(summary.bytes) bytes, "
        + "outputs \(summary.outputs.joined(separator: ", "))"
    )
    for note in summary.notes { report.note("  \(note)") }
    try report.report(summary)
  }
}
