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
    usage: "tessera soften <input> --map <map> [<options>]",
    discussion: """
      LOGITS is an array [rows, n] of float16, bfloat16 or float32: .npy, HDF5, safetensors or \
      another checkpoint (--tensor names the array where there are several). The targets are \
      compressed rows in safetensors: indptr int64 [rows + 1], indices uint32, ascending in a row, \
      values float32; and for each row its support, the mass that softmax gives to the stored \
      classes, and kl, the divergence of the target from softmax. The metadata name the matching \
      loss. Files are streamed.

      Maps: softmax, softmax:top-k=K, softmax:top-p=P, sparse-k=K (the same as top-k, with the \
      loss of sparse softmax), sparsemax, entmax:ALPHA (from 1 to 1000, within 1e-6), taylor:K \
      with an even K to 64. Ties go to the lowest index.

      EXAMPLE
        tessera soften logits.npy --map entmax:1.5 --temperature 2 \\
          -o targets.safetensors
        tessera soften logits.npy --map softmax:top-k=64 -o targets.safetensors
      """
  )

  @Argument(help: "The logits.", completion: .file())
  var input: String

  @Option(help: "From scores to probabilities.")
  var map: String

  @Option(help: "What scores are divided by.")
  var temperature = 1.0

  @Option(help: "The array, where a checkpoint has several.")
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
    let softening = try Softening(
      of: input,
      by: map,
      temperature: temperature,
      tensor: tensor,
      isBFloat16: bfloat16
    )
    let (rows, classes) = (softening.rows, softening.classes)
    if reporting.json, rows * classes > Self.printLimit {
      throw ValidationError("\(rows) rows of \(classes) are too many for --json.")
    }
    var dense: [[Float]] = []
    var progress = ProgressLine("soften", unit: "rows", total: rows, isQuiet: reporting.quiet)
    let totals = try softening.run(to: output) { target in
      if reporting.json { dense.append(target.dense(classes)) }
    } progress: {
      progress.show($0)
    }
    reporting.note(totals.line)
    if reporting.json { try write(dense) }
  }

  private func write(_ rows: [[Float]]) throws {
    let lines = rows.map { "[\($0.map { "\($0)" }.joined(separator: ", "))]" }
    try StandardOutput.write("{\"rows\": [\(lines.joined(separator: ",\n"))]}\n")
  }
}
