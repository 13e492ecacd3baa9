import TesseraCheckpoints
import TesseraCore
package import TesseraRules

/// What `convert` has done.
package struct ConversionReport: Encodable {
  let recipe: String
  let files: [String]
  let tensors, bytes: Int
  let seconds: Double
  let dropped: [PlanReport.Dropped]
  let merged: [AdapterMerge.Module]
  let notes: [String]
  /// What stands where, in words.
  private let outcome: [String]

  private enum CodingKeys: String, CodingKey {
    case recipe, files, tensors, bytes, seconds, dropped, merged, notes
  }

  package init(
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
    dropped = plan.dropped.map { PlanReport.Dropped($0) }
    notes = plan.notes
  }

  /// The summary as text.
  package var lines: [String] {
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
