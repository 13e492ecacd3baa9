import ArgumentParser
import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// `diff`: what distinguishes two checkpoints.
struct DiffCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Compare two checkpoints of any format: names, shapes, types, values.",
    discussion: """
      EXAMPLE
        tessera diff before.safetensors after.pt --json

      Ends with exit code 4 where they differ: names that only one has, other shapes, other values; \
      and, in two files of a kind, other keys of GGUF, texts of safetensors, .npz or .pt, or attributes \
      of HDF5. Another element type alone is reported and is no difference where the values are the \
      same; what Tessera adds itself (tessera.…) is none either.
      """
  )

  @Argument(help: "A checkpoint.", completion: .file())
  var first: String

  @Argument(help: "Another one.", completion: .file())
  var second: String

  @OptionGroup var selection: SelectionOptions

  @Flag(help: "Compare names, types and shapes alone.")
  var namesOnly = false

  @OptionGroup var report: OutputOptions

  func run() async throws {
    let a = try SourceCheckpoint(path: first, selecting: selection.selection)
    let b = try SourceCheckpoint(path: second, selecting: selection.selection)
    let comparison = try await a.compare(with: b, namesOnly: namesOnly, report.quiet)
    let summary = DifferenceReport(
      comparison,
      namesOnly ? nil : MetadataComparison(a.checkpoint, and: b.checkpoint),
      of: first,
      and: second
    )
    for line in summary.lines { report.note(line) }
    try report.report(summary)
    if !summary.equal { throw ExitCode(FailureKind.mismatch.rawValue) }
  }
}

extension SourceCheckpoint {
  /// Compares tensors of the same names as they are.
  fileprivate func compare(
    with other: SourceCheckpoint,
    namesOnly: Bool,
    _ isQuiet: Bool
  ) async throws -> CheckpointComparison {
    let plan = try ConversionPlan(ConversionRules(keeping: checkpoint), of: checkpoint)
    if namesOnly { return CheckpointComparison(ofNames: plan, and: other.checkpoint) }
    let progress = ByteProgress("diff", bytes: plan.byteCount, isQuiet: isQuiet)
    return try await CheckpointComparison.compare(
      plan,
      of: checkpoint,
      with: other.checkpoint,
      progress: progress.show
    )
  }
}

/// What `diff` reports: `schemas/diff.schema.json` states the JSON.
struct DifferenceReport: Encodable {
  /// A tensor that both have and that is not the same in both.
  struct Entry: Encodable {
    let name: String
    let dtypes: [String]
    let shapes: [[Int]]
    let differing: Int?
    let elements: Int?
    let maximumError: Double?
    let firstDifference: Int?

    enum CodingKeys: String, CodingKey {
      case name, dtypes, shapes, differing, elements
      case maximumError = "max_abs_error"
      case firstDifference = "first_difference"
    }
  }

  let equal: Bool
  let first: String
  let second: String
  let compared: Int
  let same: Int
  let onlyInFirst: [String]
  let onlyInSecond: [String]
  let different: [Entry]
  /// What the files say of themselves; nil where it was not compared.
  let metadata: MetadataDifferences?

  enum CodingKeys: String, CodingKey {
    case equal, first, second, compared, same, different, metadata
    case onlyInFirst = "only_in_first"
    case onlyInSecond = "only_in_second"
  }

  init(
    _ comparison: CheckpointComparison,
    _ metadata: MetadataComparison?,
    of first: String,
    and second: String
  ) {
    self.metadata = metadata.map { MetadataDifferences($0) }
    self.first = first
    self.second = second
    compared = comparison.tensors.count
    onlyInFirst = comparison.missing
    onlyInSecond = comparison.extra
    different = comparison.tensors.filter { !$0.isSame }.map { tensor in
      let difference = tensor.difference
      return Entry(
        name: tensor.name,
        dtypes: [tensor.expected.elementType.rawValue, tensor.found.elementType.rawValue],
        shapes: [tensor.expected.shape.dimensions, tensor.found.shape.dimensions],
        differing: difference?.differing,
        elements: difference?.elements,
        maximumError: difference.flatMap { $0.maximumError.isFinite ? $0.maximumError : nil },
        firstDifference: difference?.firstDifference
      )
    }
    same = compared - different.count
    equal =
      onlyInFirst.isEmpty && onlyInSecond.isEmpty && metadata?.isEqual != false
      && comparison.tensors.allSatisfy { $0.difference?.differing == 0 }
  }

  /// The report as text: a line a difference, then the sum.
  var lines: [String] {
    var lines = onlyInFirst.map { "only in \(first): \($0)" }
    lines += onlyInSecond.map { "only in \(second): \($0)" }
    lines += different.map { entry in
      var parts: [String] = []
      if entry.shapes[0] != entry.shapes[1] {
        parts.append("shapes \(entry.shapes[0]) and \(entry.shapes[1])")
      }
      if entry.dtypes[0] != entry.dtypes[1] {
        parts.append("types \(entry.dtypes[0]) and \(entry.dtypes[1])")
      }
      if let differing = entry.differing, let elements = entry.elements, differing > 0 {
        let error = entry.maximumError.map { "\($0)" } ?? "not finite"
        let place = entry.firstDifference.map { ", first at \($0)" } ?? ""
        parts.append("\(differing) of \(elements) values, by \(error) at most\(place)")
      }
      return "\(entry.name): \(parts.joined(separator: "; "))"
    }
    let verdict = equal ? "equal" : "different"
    lines += metadata?.lines ?? []
    return lines + ["\(verdict): \(compared) tensors compared, \(same) the same"]
  }
}

extension CheckpointComparison.Tensor {
  /// Whether type, shape and values are the same.
  fileprivate var isSame: Bool {
    expected.elementType == found.elementType && difference?.differing == 0
  }
}
