import TesseraCheckpoints
import TesseraCore

/// What `verify` reports about two checkpoints: `schemas/verify.schema.json` states the JSON.
package struct VerificationReport: Encodable {
  /// One direction of the comparison.
  struct Direction: Encodable {
    let tensors: [Entry]
    let missing: [String]
    let extra: [String]
  }

  /// A tensor of the second checkpoint beside what it should be.
  struct Entry: Encodable {
    let name: String
    let dtype: String
    let shape: [Int]
    let reversibility: String
    let identical: Bool
    let maximumError: Double?
    let differing: Int?
    let sha256: String?
    let passed: Bool

    enum CodingKeys: String, CodingKey {
      case name, dtype, shape, reversibility, identical, differing, sha256, passed
      case maximumError = "max_abs_error"
    }
  }

  package let verified: Bool
  let recipe: String
  let tolerance: Double
  let files: [String: String]
  let forward: Direction
  let backward: Direction?
  /// What the files say of themselves; nil where their formats say it in different forms.
  let metadata: MetadataDifferences?

  /// Compares with what is allowed.
  package init(
    recipe: String,
    metadata: MetadataComparison?,
    forward: CheckpointComparison,
    backward: CheckpointComparison?,
    hashes: [[String: String]],
    dropped: Set<String>,
    tolerance: Double
  ) {
    (self.recipe, self.tolerance) = (recipe, tolerance)
    files = hashes.reduce(into: [:]) { $0.merge($1) { first, _ in first } }
    self.forward = Direction(forward) { tensor in
      guard let difference = tensor.difference else { return false }
      return difference.differing == 0 || difference.maximumError <= tolerance
    }
    // On the way back, what was rounded stays rounded: only exact tensors must agree.
    self.backward = backward.map { backward in
      Direction(backward, excused: dropped) { tensor in
        guard let difference = tensor.difference else { return false }
        let isRounded = tensor.reversibility != .exact || tensor.isCast
        return difference.differing == 0 || isRounded || difference.maximumError <= tolerance
      }
    }
    self.metadata = metadata.map { MetadataDifferences($0) }
    verified =
      self.forward.passed && (self.backward?.passed ?? true) && metadata?.isEqual != false
  }

  /// The report as text: what fails, then the sum.
  package var lines: [String] {
    var lines: [String] = []
    for (direction, name) in [(forward, "forward"), (backward, "backward")] {
      guard let direction else { continue }
      lines += direction.missing.map { "\(name): \($0) is missing" }
      lines += direction.extra.map { "\(name): \($0) has no counterpart" }
      lines += direction.tensors.filter { !$0.passed }.map { tensor in
        let error = tensor.maximumError.map { "differs by \($0) at most" }
        let cause = tensor.differing == nil ? "has another shape" : error ?? "differs"
        return "\(name): \(tensor.name) \(cause)"
      }
      let identical = direction.tensors.count { $0.identical }
      let error = direction.tensors.compactMap(\.maximumError).max() ?? 0
      lines.append(
        "\(name): \(direction.tensors.count) tensors, \(identical) identical; "
          + "greatest difference \(error)"
      )
    }
    lines += metadata?.lines ?? []
    return lines + [verified ? "verified under \(recipe)" : "not the same under \(recipe)"]
  }
}

extension VerificationReport.Direction {
  fileprivate init(
    _ comparison: CheckpointComparison,
    excused: Set<String> = [],
    passes: (CheckpointComparison.Tensor) -> Bool
  ) {
    missing = comparison.missing
    extra = comparison.extra.filter { !excused.contains($0) }
    tensors = comparison.tensors.map { tensor in
      let difference = tensor.difference
      return VerificationReport.Entry(
        name: tensor.name,
        dtype: tensor.found.elementType.rawValue,
        shape: tensor.found.shape.dimensions,
        reversibility: tensor.reversibility.rawValue,
        identical: difference?.areBytesEqual ?? false,
        maximumError: difference.flatMap { $0.maximumError.isFinite ? $0.maximumError : nil },
        differing: difference?.differing,
        sha256: tensor.sha256,
        passed: passes(tensor)
      )
    }
  }

  /// Whether all tensors are there and agree.
  fileprivate var passed: Bool {
    missing.isEmpty && extra.isEmpty && tensors.allSatisfy(\.passed)
  }
}
