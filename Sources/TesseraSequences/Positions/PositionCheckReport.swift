/// `positions --check --json`: `schemas/position-check.schema.json`.
package struct PositionCheckReport: Encodable {
  struct Finding: Encodable {
    let holds: Bool
    let counterexample: String?
  }

  let scheme: String
  let axes: [String]
  let documents: Int
  let tokens: Int
  let maximum: Double
  let span: Int
  let context: Int?
  let properties: [String: Finding]

  package init(_ check: PositionCheck, scheme: PositionScheme, context: Int?) {
    self.scheme = scheme.name.rawValue
    axes = check.axes
    documents = check.documents
    tokens = check.tokens
    maximum = check.maximum
    span = check.span
    self.context = context
    properties = Dictionary(
      uniqueKeysWithValues: check.findings.map { property, finding in
        (property.rawValue, Finding(holds: finding.holds, counterexample: finding.counterexample))
      }
    )
  }

  /// The report as text.
  package var lines: [String] {
    let findings = PositionCheck.Property.allCases.compactMap { property in
      properties[property.rawValue].map { finding in
        "  \(property.rawValue): \(finding.counterexample.map { "no: \($0)" } ?? "holds")"
      }
    }
    let head = "positions: \(scheme), \(documents) documents, \(tokens) tokens, \(span) positions"
    return [head] + findings
  }
}
