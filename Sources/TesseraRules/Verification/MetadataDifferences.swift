/// What two checkpoints say of themselves, as `diff` and `verify` report it.
package struct MetadataDifferences: Encodable {
  /// A key whose values differ.
  struct Entry: Encodable {
    let key: String
    let values: [String]
  }

  let compared: Int
  let onlyInFirst: [String]
  let onlyInSecond: [String]
  let different: [Entry]

  enum CodingKeys: String, CodingKey {
    case compared, different
    case onlyInFirst = "only_in_first"
    case onlyInSecond = "only_in_second"
  }

  init(_ comparison: MetadataComparison) {
    compared = comparison.compared
    onlyInFirst = comparison.onlyInFirst
    onlyInSecond = comparison.onlyInSecond
    different = comparison.different.map { Entry(key: $0.key, values: [$0.first, $0.second]) }
  }

  /// One line per difference.
  var lines: [String] {
    onlyInFirst.map { "metadata: only the first has '\($0)'" }
      + onlyInSecond.map { "metadata: only the second has '\($0)'" }
      + different.map { "metadata: '\($0.key)' is '\($0.values[0])' and '\($0.values[1])'" }
  }
}
