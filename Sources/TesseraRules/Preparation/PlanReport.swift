import TesseraCheckpoints
import TesseraCore

/// `convert --plan`: what would be done.
///
/// `schemas/plan.schema.json` states the JSON.
package struct PlanReport: Encodable {
  struct Output: Encodable {
    let name, dtype: String
    let shape: [Int]
    let bytes: Int
    let sources, operations: [String]
    let streaming, reversibility, encoding: String
  }

  struct Tie: Encodable {
    let name, of: String
  }

  package struct Dropped: Encodable {
    package let name, reason: String

    package init(_ tensor: DroppedTensor) {
      name = tensor.name
      reason = tensor.reason
    }
  }

  let source, format, to, recipe: String
  let outputs: [Output]
  let ties: [Tie]
  let dropped: [Dropped]
  let lossy, notes: [String]
  let bytes, bufferBytes, peakBytes: Int

  enum CodingKeys: String, CodingKey {
    case source, format, to, recipe, outputs, ties, dropped, lossy, notes, bytes
    case bufferBytes = "buffer_bytes"
    case peakBytes = "peak_bytes"
  }

  package init(_ prepared: PreparedConversion) {
    let plan = prepared.plan
    let source = prepared.source
    self.source = source.path
    format = source.checkpoint.format
    to = prepared.format.rawValue
    recipe = plan.recipe
    outputs = plan.outputs.map { output in
      Output(
        name: output.tensor.name,
        dtype: output.tensor.elementType.rawValue,
        shape: output.tensor.shape.dimensions,
        bytes: prepared.byteCount(of: output),
        sources: output.sources,
        operations: output.operations.map(\.description),
        streaming: output.streaming.rawValue,
        reversibility: prepared.reversibility(of: output).rawValue,
        encoding: prepared.encoding(of: output).rawValue
      )
    }
    ties = prepared.areTiesKept ? prepared.ties.map { Tie(name: $0.name, of: $0.original) } : []
    dropped = plan.dropped.map { Dropped($0) }
    let inexact = plan.outputs.filter { prepared.reversibility(of: $0) != .exact }
    lossy = inexact.map(\.tensor.name) + plan.dropped.map(\.name)
    let added = plan.implied.map {
      "\($0.tensor.name): \($0.value.rawValue) everywhere, \($0.reason)"
    }
    notes = plan.notes + added
    bytes = prepared.byteCount
    bufferBytes = plan.bufferBytes
    peakBytes = prepared.peakBytes
  }

  /// The plan as text: one line per tensor.
  package var table: String {
    let rows = outputs.map { output in
      let from = output.sources.isEmpty ? "(implied)" : output.sources.joined(separator: " + ")
      let how = output.operations.isEmpty ? "as it is" : output.operations.joined(separator: ", ")
      return [from, output.name, output.dtype, "\(output.shape)", output.reversibility, how]
    }
    let heads = ["from", "to", "type", "shape", "undone", "operations"]
    var lines = TextTable.lines([heads] + rows)
    lines += ties.map { "tied: \($0.name) = \($0.of)" }
    lines += dropped.map { "dropped: \($0.name) (\($0.reason))" }
    lines += notes.map { "note: \($0)" }
    let megabytes = (Double(bytes) / 1e6).rounded(places: 1)
    lines.append(
      "\(outputs.count) tensors, \(megabytes) MB as \(to); about \(peakBytes >> 20) MiB of memory"
    )
    return lines.joined(separator: "\n")
  }
}
