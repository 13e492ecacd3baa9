import ArgumentParser
import Foundation
import TesseraCore
import TesseraTokenizers

/// The quantizer alone: latents to codes and back.
struct QuantizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Turn latents into codes with a named quantizer, or codes into a decoder's values.",
    usage: "tessera quantize <input> --quantizer <file> --output <output> [<options>]",
    discussion: """
      LATENTS.npy contains float32 [..., d], channels last; the codes are unsigned [...] in the \
      narrowest type for the vocabulary, [..., n] where a position has n codes (grouped, residual) \
      and [..., tokens] for images [..., h, w, d] under a multi-scale quantizer. Files are \
      streamed: they may be larger than memory.

      EXAMPLE
        echo '{"kind": "fsq", "variant": "atanh", "levels": [8, 5, 5, 5]}' \\
          > fsq.json
        tessera quantize latents.npy --quantizer fsq.json -o codes.npy
        tessera quantize codes.npy --quantizer fsq.json --inverse -o values.npy
        echo '{"kind": "vq", "rule": "l2", "codebook": "codebook.npy"}' > vq.json
        tessera quantize latents.npy --quantizer vq.json -o codes.npy \\
          --margins margins.npy
        tessera quantize codes.npy --quantizer vq.json \\
          --reindex collect:used.npy --reindex offset:8192 -o ids.npy

      Kinds: fsq; vq (rules l2, cosine, dot, logits; a codebook .npy beside the JSON file); lfq \
      and bsq (order little or big); grouped, residual, multi-scale. Of equal codes the lowest \
      wins.

      The summary says how many codes were used, and the smallest margin: how far any latent is \
      from another code, in levels to a rounding boundary (fsq), latents to 0 (lfq, bsq), or what \
      the second-best row of a codebook is worse by, in squared distances (l2), cosines or scores. \
      Another implementation can differ only where that is small.
      """
  )

  @Argument(
    help: "Latents, or with --inverse codes (.npy).",
    completion: .file(extensions: ["npy"])
  )
  var input: String

  @Option(
    name: .long,
    help: "The quantizer (JSON, schemas/quantizer.schema.json).",
    completion: .file(extensions: ["json"])
  )
  var quantizer: String

  @Option(name: .shortAndLong, help: "Where to write (.npy).", completion: .file())
  var output: String

  @Flag(help: "Codes to values: float32 [..., d].")
  var inverse = false

  @Flag(help: "Digits [..., d], one per dimension, in place of codes.")
  var digits = false

  @Option(
    help: """
      Codes to the same codes under other numbers, step by step: order:little|big or to:QUANTIZER.json \
      first, then offset:N, compact:LIST.npy, collect:LIST.npy (makes the list). With --inverse back.
      """
  )
  var reindex: [String] = []

  @Option(
    help: "Where to write the margin of each code (.npy, float32 [...]).",
    completion: .file(extensions: ["npy"])
  )
  var margins: String?

  @Option(help: "Blocks in flight; changes no byte of the output.")
  var workers: Int = ProcessInfo.processInfo.activeProcessorCount

  @OptionGroup var reporting: OutputOptions

  func validate() throws {
    guard (1...4096).contains(workers) else {
      throw ValidationError("--workers: \(workers) is not from 1 to 4096")
    }
    if margins != nil, inverse || !reindex.isEmpty {
      throw ValidationError("--margins belongs to latents")
    }
    try checkOutputs()
    if digits, !reindex.isEmpty { throw ValidationError("--reindex takes codes, not --digits") }
  }

  /// Refuses one file under two flags.
  private func checkOutputs() throws {
    var named = [(flag: "-o", path: output)]
    if let margins { named.append(("--margins", margins)) }
    for step in reindex {
      if let path = ReindexRun.list(collectedBy: step) { named.append(("--reindex \(step)", path)) }
    }
    for (index, later) in named.enumerated() {
      for earlier in named[..<index] where OutputFolder.isSameFile(earlier.path, later.path) {
        throw ValidationError(
          "\(earlier.flag) and \(later.flag) both name the file '\(later.path)'; name two files"
        )
      }
    }
  }

  func run() async throws {
    let summary: QuantizeSummary
    if reindex.isEmpty {
      let run = try QuantizeRun(
        input,
        quantizerFile: quantizer,
        output: output,
        usesDigits: digits,
        margins: margins,
        workers: workers
      )
      summary = inverse ? try await run.dequantize() : try await run.quantize()
    } else {
      let run = try ReindexRun(
        input,
        quantizerFile: quantizer,
        output: output,
        steps: reindex,
        isInverse: inverse
      )
      summary = try run.run()
    }
    reporting.note(summary.line)
    try reporting.report(summary)
  }
}
