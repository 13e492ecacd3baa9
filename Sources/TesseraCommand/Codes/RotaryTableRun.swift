import ArgumentParser
import Foundation
import TesseraCheckpoints
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

/// One run of `positions --table`.
struct RotaryTableRun {
  let table: RotaryTable
  let positions: PositionIds?
  let input: String?
  let output: String?
  let reporting: OutputOptions

  func run() throws {
    if let output { try write(to: output) }
    reporting.note(
      "positions: \(table.layout.rawValue) table, \(table.axis.count) frequencies of "
        + "\(table.axisCount) axes" + (positions.map { ", \($0.tokens) tokens" } ?? "")
    )
    try reporting.report(
      TableReport(
        layout: table.layout.rawValue,
        inverseFrequencies: table.inverseFrequencies,
        axis: table.axis,
        tokens: positions?.tokens
      )
    )
  }

  private func write(to output: String) throws {
    let angles = try positions.map(table.angles)
    let inputs = input.map { [$0] } ?? []
    if output.lowercased().hasSuffix(".npy") {
      guard let angles else { return }
      let shape = Shape([2] + angles.cos.shape.dimensions)
      let both = Tensor(
        elementType: .float32,
        shape: shape,
        bytes: angles.cos.bytes + angles.sin.bytes
      )
      var file = try AtomicFile(path: output, reading: inputs)
      try file.write(try NPYFile.encode(both))
      return try file.commit()
    }
    let pairs: Shape = [table.axis.count]
    var tensors = [
      "axis": Tensor(shape: pairs, elements: table.axis.map { Int32($0) }),
      "inv_freq": Tensor(shape: pairs, elements: table.inverseFrequencies),
    ]
    if let angles { (tensors["cos"], tensors["sin"]) = angles }
    let layout = try SafetensorsLayout(
      tensors: tensors.map { TensorInfo(name: $0, elementType: $1.elementType, shape: $1.shape) },
      metadata: ["layout": table.layout.rawValue]
    )
    let file = try SafetensorsFile(path: output, layout: layout, reading: inputs)
    for entry in layout.entries {
      guard let tensor = tensors[entry.tensor.name] else { continue }
      try unsafe tensor.bytes.withUnsafeBytes { try unsafe file.write($0, at: 0, of: entry) }
    }
    try file.commit()
  }
}

/// `positions --table --json`: `schemas/rotary-table.schema.json`.
private struct TableReport: Encodable {
  let layout: String
  let inverseFrequencies: [Double]
  let axis: [Int]
  let tokens: Int?

  enum CodingKeys: String, CodingKey {
    case layout, axis, tokens
    case inverseFrequencies = "inv_freq"
  }
}
