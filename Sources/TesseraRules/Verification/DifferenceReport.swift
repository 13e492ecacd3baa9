import TesseraCheckpoints
import TesseraCore

/// What `diff` reports: `schemas/diff.schema.json` states the JSON.
package struct DifferenceReport: Encodable {
  /// A tensor that both have and that is not the same in both.
  struct Entry: Encodable {
    let name: String
    let dtypes: [String]
    let shapes: [[Int]]
    let differing, elements: Int?
    let maximumError: Double?
    let firstDifference: Int?

    enum CodingKeys: String, CodingKey {
      case name, dtypes, shapes, differing, elements
      case maximumError = "max_abs_error"
      case firstDifference = "first_difference"
    }
  }

  package let equal: Bool
  let first, second: String
  let compared, same: Int
  let onlyInFirst, onlyInSecond: [String]
  let different: [Entry]
  /// What the files say of themselves; nil where it was not compared.
  let metadata: MetadataDifferences?

  enum CodingKeys: String, CodingKey {
    case equal, first, second, compared, same, different, metadata
    case onlyInFirst = "only_in_first"
    case onlyInSecond = "only_in_second"
  }

  package init(
    _ comparison: CheckpointComparison,
    _ metadata: MetadataComparison?,
    of first: String,
    and second: String
  ) {
    self.metadata = metadata.map { MetadataDifferences($0) }
    (self.first, self.second) = (first, second)
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

  /// The report as text: one line per difference, then the sum.
  package var lines: [String] {
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
