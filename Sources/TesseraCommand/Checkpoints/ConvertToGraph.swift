import ArgumentParser
import TesseraCore
import TesseraRules
import TesseraTokenizers

/// `convert TOKENIZER -o FILE.onnx`: the encoder as a graph that other runtimes compute.
extension ConvertCommand {
  /// Whether a graph is asked for, not a checkpoint.
  var writesGraph: Bool { output?.lowercased().hasSuffix(".onnx") == true }

  /// Refuses options that belong to checkpoints.
  func checkGraph() throws {
    let isChanged =
      !selection.selection.isEverything || sharing.tied != nil || precision.dtype != nil
      || !recipes.recipe.isEmpty || !recipes.set.isEmpty || !generator.isEmpty || keepExact
      || keras.like != nil || !keras.module.isEmpty
    if plan || to != nil || shardSize != nil || opaqueDtype != nil || isChanged {
      throw ValidationError(
        "-o FILE.onnx writes a tokenizer's encoder as it is; --plan, --to, --shard-size, --opaque-dtype and the "
          + "options that change weights, types or names belong to checkpoints"
      )
    }
  }

  /// Writes the encoder.
  func writeGraph() throws {
    guard let output else { return }
    try AtomicFile.checkTarget(output, inputs: [input])
    if !force { try ReplacedOutput.check(output) }
    let parts = try TokenizerParts(opening: input)
    let summary = try ONNXEncoderFile.write(
      parts,
      to: output,
      toolVersion: ToolVersion.current,
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
