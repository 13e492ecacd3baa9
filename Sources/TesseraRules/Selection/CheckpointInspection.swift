package import TesseraCheckpoints
import TesseraCore

/// `inspect` of a checkpoint.
package struct CheckpointInspection: Encodable {
  struct Entry: Encodable {
    let name: String
    let dtype: String
    let shape: [Int]
    let aliasOf: String?

    enum CodingKeys: String, CodingKey {
      case name, dtype, shape
      case aliasOf = "alias_of"
    }
  }

  let format: String
  let tensors: [Entry]
  let attributes: [String: String]
  let notes: [String]
  /// What `--pick ema` chooses from; nil where no name says anything of averages or students.
  let candidates: [Candidate]?
  private let byteCount: Int

  enum CodingKeys: String, CodingKey {
    case format, tensors, attributes, notes, candidates
  }

  struct Candidate: Encodable {
    let prefix: String
    let role: String
    let score: Int
    let tensors: Int
  }

  package init(_ checkpoint: any CheckpointReader) {
    format = checkpoint.format
    tensors = checkpoint.tensors.map { tensor in
      Entry(
        name: tensor.name,
        dtype: tensor.elementType.rawValue,
        shape: tensor.shape.dimensions,
        aliasOf: tensor.aliasOf
      )
    }
    attributes = checkpoint.attributes
    notes = checkpoint.notes
    let found = WeightCandidate.all(among: checkpoint.tensors)
    let candidates = found.map { candidate in
      Candidate(
        prefix: candidate.prefix,
        role: candidate.role.rawValue,
        score: candidate.role.score,
        tensors: candidate.tensors
      )
    }
    self.candidates = candidates.contains { $0.score > 0 } ? candidates : nil
    byteCount = checkpoint.tensors.filter { $0.aliasOf == nil }.reduce(0) { sum, tensor in
      let count = tensor.shape.elementCount
      return sum &+ (count.flatMap { tensor.elementType.byteCount(elements: $0) } ?? 0)
    }
  }

  /// A table; long attributes are cut.
  package var text: String {
    let rows = tensors.map { tensor in
      let alias = tensor.aliasOf.map { "  = \($0)" } ?? ""
      return [tensor.name.printable, tensor.dtype, "\(tensor.shape)\(alias)".printable]
    }
    var lines = ["format: \(format)"] + TextTable.lines(rows)
    for (key, value) in attributes.sorted(by: { $0.key < $1.key }) {
      let shown = value.count > 80 ? "\(value.prefix(80))… (\(value.count) characters)" : value
      lines.append("attribute \(key): \(shown)".printable)
    }
    lines += notes.map { "note: \($0)".printable }
    for candidate in candidates ?? [] {
      let kind = "\(candidate.role), score \(candidate.score)"
      lines.append("weights: \(candidate.prefix) (\(kind), \(candidate.tensors) tensors)".printable)
    }
    let megabytes = (Double(byteCount) / 1e6).rounded(places: 1)
    lines.append("\(tensors.count) tensors, \(megabytes) MB")
    return lines.joined(separator: "\n")
  }
}
