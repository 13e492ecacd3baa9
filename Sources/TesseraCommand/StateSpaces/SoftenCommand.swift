import ArgumentParser
import Foundation
import TesseraCheckpoints
import TesseraCore
import TesseraDistillation

/// Logits to sparse targets.
struct SoftenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "soften",
    abstract: "Turn logits into sparse probability targets for distillation.",
    discussion: """
      LOGITS holds [rows, n] float16, bfloat16 or float32: .npy, HDF5, safetensors or another checkpoint \
      (--tensor names the array where there are several). The targets are compressed rows in \
      safetensors: indptr int64 [rows + 1], indices uint32, ascending in a row, values float32; and for \
      each row its support, the mass that softmax gives to the stored classes, and kl, the divergence \
      of the target from softmax. The metadata name the matching loss. Files are streamed.

      Maps: softmax, softmax:top-k=K, softmax:top-p=P, sparse-k=K (the same as top-k, with the loss of \
      sparse softmax), sparsemax, entmax:ALPHA (from 1 to 1000, within 1e-6), taylor:K with an even K to 64. \
      Ties go to the lowest index.

      EXAMPLE
        tessera soften logits.npy --map entmax:1.5 --temperature 2 -o targets.safetensors
        tessera soften logits.npy --map softmax:top-k=64 -o targets.safetensors
      """
  )

  @Argument(help: "The logits.", completion: .file())
  var input: String

  @Option(help: "From scores to probabilities.")
  var map: String

  @Option(help: "What scores are divided by.")
  var temperature = 1.0

  @Option(help: "The array, where a checkpoint holds several.")
  var tensor: String?

  @Flag(help: "Elements of 2 bytes without a float type (uint16, opaque) are bfloat16.")
  var bfloat16 = false

  @Option(
    name: .shortAndLong,
    help: "Where to write (.safetensors); optional with --json.",
    completion: .file(extensions: ["safetensors"])
  )
  var output: String?

  @OptionGroup var reporting: OutputOptions

  /// The most numbers that --json prints.
  private static let printLimit = 1 << 20

  func validate() throws {
    guard output != nil || reporting.json else {
      throw ValidationError("Name an output with -o, or print the rows with --json.")
    }
  }

  func run() throws {
    let probabilities = try ProbabilityMap(
      parsing: isSparseSoftmax ? "softmax:top-k=" + map.dropFirst("sparse-k=".count) : map
    )
    let logits = try LogitsFile(path: input, tensor: tensor, isBFloat16: bfloat16)
    let row = try TesseraError.naming(input) {
      try LogitRow(
        map: probabilities,
        temperature: temperature,
        elementType: logits.elementType,
        count: logits.columns
      )
    }
    if reporting.json, logits.rows * logits.columns > Self.printLimit {
      throw ValidationError("\(logits.rows) rows of \(logits.columns) are too many for --json.")
    }
    var totals = Totals()
    var dense: [[Float]] = []
    let file = try output.map { try TargetsOutput(SparseTargetsFile(path: $0, reading: [input])) }
    try forEachTarget(of: logits, row) { target in
      totals.add(target)
      try file?.append(target)
      if reporting.json { dense.append(target.dense(logits.columns)) }
    }
    try file?.commit(metadata: metadata(probabilities, classes: logits.columns))
    reporting.note(totals.line(rows: logits.rows, classes: logits.columns))
    if reporting.json { try write(dense) }
  }

  /// Whether the targets are of the sparse softmax, which has a loss of its own.
  private var isSparseSoftmax: Bool { map.hasPrefix("sparse-k=") }

  /// Maps the rows in order, some MiB of logits at a time.
  private func forEachTarget(
    of logits: LogitsFile,
    _ row: LogitRow,
    _ body: (SoftTarget) throws -> Void
  ) throws {
    var progress = ProgressLine(
      "soften",
      unit: "rows",
      total: logits.rows,
      isQuiet: reporting.quiet
    )
    let block = max(1, (4 << 20) / max(1, logits.rowSize))
    for start in stride(from: 0, to: logits.rows, by: block) {
      let end = min(logits.rows, start + block)
      let bytes = try logits.bytes(of: start..<end)
      for index in start..<end {
        let offset = (index - start) * logits.rowSize
        try body(
          try naming(row: index) { try row.target(of: bytes[offset..<offset + logits.rowSize]) }
        )
      }
      progress.show(end)
    }
  }

  /// What the file says of its targets.
  private func metadata(_ probabilities: ProbabilityMap, classes: Int) -> [String: String] {
    var metadata = [
      "tessera.soften.map": map, "tessera.soften.temperature": "\(temperature)",
      "tessera.soften.loss": isSparseSoftmax
        ? "sparse softmax: log sum over the top k of e^x - sum target x"
        : probabilities.matchingLoss,
      "tessera.soften.gradient": "map(student / temperature) - target, over the temperature",
      "tessera.soften.classes": "\(classes)", "tessera.version": ToolVersion.current,
      "tessera.source": URL(filePath: input).lastPathComponent,
    ]
    if let tensor { metadata["tessera.source.tensor"] = tensor }
    return metadata
  }

  private func naming<Value>(row: Int, _ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch let error as TesseraError {
      throw error.in("\(input): row \(row)")
    }
  }

  private func write(_ rows: [[Float]]) throws {
    let lines = rows.map { "[\($0.map { "\($0)" }.joined(separator: ", "))]" }
    let text = "{\"rows\": [\(lines.joined(separator: ",\n"))]}\n"
    try StandardOutput.write(text)
  }

  /// What the summary says.
  private struct Totals {
    var entries = 0
    var mass = 0.0
    var divergence = 0.0

    mutating func add(_ target: SoftTarget) {
      entries += target.distribution.indices.count
      mass += target.mass
      divergence += target.divergence
    }

    func line(rows: Int, classes: Int) -> String {
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
  fileprivate func dense(_ count: Int) -> [Float] {
    var row = [Float](repeating: 0, count: count)
    for (index, value) in zip(distribution.indices, distribution.values) { row[Int(index)] = value }
    return row
  }
}
