import Foundation
package import TesseraCore

/// A file of logits to sparse targets, some MiB of rows at a time.
package struct Softening {
  /// The rows of the file.
  package var rows: Int { logits.rows }
  /// The classes of a row.
  package var classes: Int { logits.columns }
  private let input: String
  private let map: String
  private let temperature: Double
  private let tensor: String?
  private let probabilities: ProbabilityMap
  private let logits: LogitsFile
  private let row: LogitRow

  /// Opens the logits.
  ///
  /// - Parameters:
  ///   - input: The file, [rows, classes].
  ///   - map: From scores to probabilities, such as `entmax:1.5`; also `sparse-k=K`, the same as
  ///     `softmax:top-k=K` with the loss of sparse softmax.
  ///   - temperature: What scores are divided by.
  ///   - tensor: The array, where a checkpoint has several.
  ///   - isBFloat16: Whether elements of 2 bytes without a float type are bfloat16.
  /// - Throws: `TesseraError`.
  package init(
    of input: String,
    by map: String,
    temperature: Double,
    tensor: String?,
    isBFloat16: Bool
  ) throws {
    let probabilities = try ProbabilityMap(
      parsing: Self.isSparseSoftmax(map) ? "softmax:top-k=" + map.dropFirst("sparse-k=".count) : map
    )
    let logits = try LogitsFile(path: input, tensor: tensor, isBFloat16: isBFloat16)
    row = try TesseraError.naming(input) {
      try LogitRow(
        map: probabilities,
        temperature: temperature,
        elementType: logits.elementType,
        count: logits.columns
      )
    }
    (self.probabilities, self.logits, self.input, self.map) = (probabilities, logits, input, map)
    (self.temperature, self.tensor) = (temperature, tensor)
  }

  /// Whether the targets are of the sparse softmax, which has a loss of its own.
  private static func isSparseSoftmax(_ map: String) -> Bool { map.hasPrefix("sparse-k=") }

  /// Maps the rows in order.
  ///
  /// - Parameters:
  ///   - output: The file to write (.safetensors); nil for none.
  ///   - body: Takes each target.
  ///   - progress: Is told how many rows are done.
  /// - Returns: The sums for the summary.
  /// - Throws: `TesseraError`, naming the file and the row.
  package func run(
    to output: String?,
    _ body: (SoftTarget) throws -> Void,
    progress: (Int) -> Void
  ) throws -> Totals {
    var totals = Totals(rows: rows, classes: classes)
    let file = try output.map { try TargetsOutput(SparseTargetsFile(path: $0, reading: [input])) }
    let block = max(1, (4 << 20) / max(1, logits.rowSize))
    for start in stride(from: 0, to: rows, by: block) {
      let end = min(rows, start + block)
      let bytes = try logits.bytes(of: start..<end)
      for index in start..<end {
        let offset = (index - start) * logits.rowSize
        let target = try TesseraError.naming("\(input): row \(index)") {
          try row.target(of: bytes[offset..<offset + logits.rowSize])
        }
        totals.add(target)
        try file?.append(target)
        try body(target)
      }
      progress(end)
    }
    try file?.commit(metadata: metadata)
    return totals
  }

  /// What the file says of its targets.
  private var metadata: [String: String] {
    var metadata = [
      "tessera.soften.map": map, "tessera.soften.temperature": "\(temperature)",
      "tessera.soften.loss": Self.isSparseSoftmax(map)
        ? "sparse softmax: log sum over the top k of e^x - sum target x"
        : probabilities.matchingLoss,
      "tessera.soften.gradient": "map(student / temperature) - target, over the temperature",
      "tessera.soften.classes": "\(classes)", "tessera.version": ToolVersion.current,
      "tessera.source": URL(filePath: input).lastPathComponent,
    ]
    if let tensor { metadata["tessera.source.tensor"] = tensor }
    return metadata
  }

  /// What a run sums up.
  package struct Totals {
    let rows: Int
    let classes: Int
    private var entries = 0
    private var mass = 0.0
    private var divergence = 0.0

    fileprivate init(rows: Int, classes: Int) {
      (self.rows, self.classes) = (rows, classes)
    }

    fileprivate mutating func add(_ target: SoftTarget) {
      entries += target.distribution.indices.count
      mass += target.mass
      divergence += target.divergence
    }

    /// The summary for a reader.
    package var line: String {
      let count = Double(max(1, rows))
      return
        "soften: \(rows) rows of \(classes), mean support \((Double(entries) / count).rounded(places: 1)), "
        + "mean mass \((mass / count).rounded(places: 4)), mean kl \((divergence / count).rounded(places: 4))"
    }
  }
}

/// A file under construction that may be absent.
private final class TargetsOutput {
  private var file: SparseTargetsFile?

  init(_ file: consuming SparseTargetsFile) { self.file = consume file }

  func append(_ target: SoftTarget) throws {
    try file?.append(
      indices: target.distribution.indices,
      values: target.distribution.values,
      mass: Float(target.mass),
      divergence: Float(target.divergence)
    )
  }

  func commit(metadata: [String: String]) throws {
    guard let finished = file.take() else { return }
    try finished.commit(metadata: metadata)
  }
}

extension SoftTarget {
  /// Every class' probability.
  package func dense(_ count: Int) -> [Float] {
    var row = [Float](repeating: 0, count: count)
    for (index, value) in zip(distribution.indices, distribution.values) { row[Int(index)] = value }
    return row
  }
}
