/// `positions --table --json`: `schemas/rotary-table.schema.json`.
package struct RotaryTableReport: Encodable {
  let layout: String
  let inverseFrequencies: [Double]
  let axis: [Int]
  let tokens: Int?

  /// Describes a table, and the tokens of its positions where there are some.
  package init(_ table: RotaryTable, of positions: PositionIds?) {
    layout = table.layout.rawValue
    inverseFrequencies = table.inverseFrequencies
    axis = table.axis
    tokens = positions?.tokens
  }

  enum CodingKeys: String, CodingKey {
    case layout, axis, tokens
    case inverseFrequencies = "inv_freq"
  }
}
