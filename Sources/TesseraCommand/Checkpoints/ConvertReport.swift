import TesseraCheckpoints
import TesseraCore
import TesseraDistillation
import TesseraRules

/// `convert --plan`: what would be done.
///
/// `schemas/plan.schema.json` states the JSON.
struct PlanReport: Encodable {
  struct Output: Encodable {
    let name: String
    let dtype: String
    let shape: [Int]
    let bytes: Int
    let sources: [String]
    let operations: [String]
    let streaming: String
    let reversibility: String
    let encoding: String
  }

  struct Tie: Encodable {
    let name: String
    let of: String
  }

  struct Dropped: Encodable {
    let name: String
    let reason: String
  }

  let source: String
  let format: String
  let to: String
  let recipe: String
  let outputs: [Output]
  let ties: [Tie]
  let dropped: [Dropped]
  let lossy: [String]
  let notes: [String]
  let bytes: Int
  let bufferBytes: Int
  let peakBytes: Int

  enum CodingKeys: String, CodingKey {
    case source, format, to, recipe, outputs, ties, dropped, lossy, notes, bytes
    case bufferBytes = "buffer_bytes"
    case peakBytes = "peak_bytes"
  }

  init(_ prepared: PreparedConversion) {
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
    dropped = plan.dropped.map { Dropped(name: $0.name, reason: $0.reason) }
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

  /// The plan as text: a line a tensor.
  var table: String {
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

/// What `convert` has done.
struct ConversionReport: Encodable {
  let recipe: String
  let files: [String]
  let tensors: Int
  let bytes: Int
  let seconds: Double
  let dropped: [PlanReport.Dropped]
  let merged: [AdapterMerge.Module]
  let notes: [String]
  /// What stands where, in words.
  private let outcome: [String]

  private enum CodingKeys: String, CodingKey {
    case recipe, files, tensors, bytes, seconds, dropped, merged, notes
  }

  init(
    _ prepared: PreparedConversion,
    _ written: WrittenConversion,
    merged: [AdapterMerge.Module],
    seconds: Double
  ) {
    let plan = prepared.plan
    let (files, companions) = (written.files, written.companions)
    self.merged = merged
    recipe = plan.recipe
    self.files = files.all
    let copied = companions.filter { if case .file = $0.content { true } else { false } }
    let made = companions.filter { if case .file = $0.content { false } else { true } }
    outcome = [
      files.index.map { _ in "\(files.weights.count) shards and their index \(files.result)" }
        ?? files.result,
      ModelFolder.list(copied.map(\.name)).map { "copied along from the model's folder: \($0)" },
      ModelFolder.list(made.map(\.name)).map { "written beside it: \($0)" },
      files.originals.map { "what was rounded is kept as it was in \($0)" },
    ].compactMap(\.self)
    tensors = plan.outputs.count
    bytes = prepared.byteCount
    self.seconds = seconds
    dropped = plan.dropped.map { PlanReport.Dropped(name: $0.name, reason: $0.reason) }
    notes = plan.notes
  }

  /// The summary as text.
  var lines: [String] {
    let megabytes = (Double(bytes) / 1e6).rounded(places: 1)
    let summary =
      "\(tensors) tensors, \(megabytes) MB in \(seconds.rounded(places: 2)) s: "
      + outcome.joined(separator: "; ")
    let reasons = Dictionary(grouping: dropped, by: \.reason).sorted { $0.key < $1.key }
    let losses = reasons.map { reason, tensors in
      "dropped: \(tensors.count) tensors, \(reason): \(tensors[0].name)"
        + (tensors.count > 1 ? " and others (--plan names all)" : "")
    }
    let merges = merged.map { module in
      "merged: \(module.tensor): scale \(module.scale), norm of the change \(Float(module.deltaNorm))"
    }
    return losses + merges + notes.map { "note: \($0)" } + [summary]
  }
}

/// Columns for people.
enum TextTable {
  /// The rows with their columns aligned; the last column is as long as it is.
  static func lines(_ rows: [[String]]) -> [String] {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      row.enumerated().map { column, text in
        column == columns - 1
          ? text : text + String(repeating: " ", count: widths[column] - text.count)
      }.joined(separator: "  ")
    }
  }
}
