import ArgumentParser
import TesseraCore
import TesseraSequences

/// The flags of `positions --table`.
struct RotaryTableOptions: ParsableArguments {
  @Option(
    name: .customLong("table"),
    help: "Frequencies and their axes, and with SEGMENTS cos and sin, in this layout."
  )
  var layout: RotaryTable.Layout?

  @Option(help: "The channels of an attention head.")
  var headDim: Int?

  @Option(help: "The base of the frequencies. (default: 10000)")
  var base: Double?

  @Option(
    help: """
      How many frequencies each axis has, such as 16,24,24: their sum is half of the head. Without them \
      alternating and split share equally between the scheme's axes, or two.
      """,
    transform: { text in
      let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
      guard !parts.contains(nil) else {
        throw ValidationError("'\(text)' is no list of whole numbers such as 16,24,24")
      }
      return parts.compactMap(\.self)
    }
  )
  var sections: [Int]?

  /// Whether anything beside the layout was given.
  var isSet: Bool { headDim != nil || base != nil || sections != nil }

  /// The table.
  func table(_ layout: RotaryTable.Layout, axes: Int?) throws(TesseraError) -> RotaryTable {
    try RotaryTable(
      layout,
      headDimension: headDim ?? 0,
      base: base ?? 10_000,
      sections: sections,
      axes: axes ?? 2
    )
  }
}
