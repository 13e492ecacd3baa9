import ArgumentParser
import Foundation
import TesseraCore
import TesseraTokenizers

/// The quantizer alone: latents to codes and back.
struct QuantizeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Turn latents into codes with a named quantizer, or codes into a decoder's values.",
    discussion: """
      LATENTS.npy holds float32 [..., d], channels last; the codes are unsigned [...] in the narrowest \
      type for the vocabulary, [..., n] where a position has n codes (grouped, residual) and [..., tokens] \
      for images [..., h, w, d] under a multi-scale quantizer. Files are streamed: they may be larger than \
      memory.

      EXAMPLE
        echo '{"kind": "fsq", "variant": "atanh", "levels": [8, 5, 5, 5]}' > fsq.json
        tessera quantize latents.npy --quantizer fsq.json -o codes.npy
        tessera quantize codes.npy --quantizer fsq.json --inverse -o values.npy
        echo '{"kind": "vq", "rule": "l2", "codebook": "codebook.npy"}' > vq.json
        tessera quantize latents.npy --quantizer vq.json -o codes.npy --margins margins.npy
        tessera quantize codes.npy --quantizer vq.json --reindex collect:used.npy --reindex offset:8192 -o ids.npy

      Kinds: fsq; vq (rules l2, cosine, dot, logits; a codebook .npy beside the JSON file); lfq and bsq \
      (order little or big); grouped, residual, multi-scale. Of equal codes the lowest wins.

      The summary says how many codes were used, and the smallest margin: how far any latent is from \
      another code, in levels to a rounding boundary (fsq), latents to 0 (lfq, bsq), or what the \
      second-best row of a codebook is worse by, in squared distances (l2), cosines or scores. Another \
      implementation can differ only where that is small.
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

  @Flag(help: "Digits [..., d], one a dimension, in place of codes.")
  var digits = false

  @Option(
    help: """
      Codes to the same codes under other numbers, step by step: order:little|big or to:QUANTIZER.json \
      first, then offset:N, compact:LIST.npy, collect:LIST.npy (makes the list). With --inverse back.
      """
  )
  var reindex: [String] = []

  @Option(
    help: "Where to write how safe each code is (.npy, float32 [...]).",
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
    let (specification, quantizer) = try QuantizerFile.open(self.quantizer)
    if !reindex.isEmpty {
      let summary = try ReindexRun(
        specification: specification,
        quantizer: quantizer,
        steps: reindex,
        isInverse: inverse,
        input: input,
        file: try ArrayFile(path: input),
        output: output,
        inputs: [input, self.quantizer]
      ).run()
      reporting.note(summary.line)
      return try reporting.report(summary)
    }
    let run = QuantizeRun(
      quantizer: quantizer,
      specification: specification,
      usesDigits: digits,
      input: input,
      file: try ArrayFile(path: input),
      output: output,
      margins: margins,
      inputs: [input, self.quantizer],
      workers: workers
    )
    let summary = inverse ? try await run.dequantize() : try await run.quantize()
    reporting.note(summary.line)
    try reporting.report(summary)
  }
}

/// What a run reports.
struct QuantizeSummary: Encodable {
  let quantizer: QuantizerSpecification
  /// The number that every code is below.
  let vocabulary: Int
  let positions: Int
  /// The codes of one position.
  let codesPerPosition: Int
  /// The number of different codes; nil with `--inverse`, where a position has several codes, and where the
  /// vocabulary has over 2^27.
  let used: Int?
  /// `used` as a share of the vocabulary.
  let usage: Double?
  /// `used` for each of a position's codes, where there are several.
  let usedByPlace: [Int?]?
  /// The smallest margin; nil with `--inverse`, without positions, and where there is one code.
  let minMargin: Float?
  /// What margins are differences of.
  let marginUnit: String?
  let dtype: String
  let shape: [Int]

  private enum CodingKeys: String, CodingKey {
    case quantizer, vocabulary, positions, used, usage, dtype, shape
    case codesPerPosition = "codes_per_position"
    case usedByPlace = "used_by_place"
    case minMargin = "min_margin"
    case marginUnit = "margin_unit"
  }

  init(
    quantizer: QuantizerSpecification,
    vocabularies: [Int],
    positions: Int,
    used: [Int?]?,
    minMargin: Float?,
    marginUnit: String?,
    dtype: String,
    shape: [Int]
  ) {
    self.quantizer = quantizer
    let vocabulary = vocabularies.max() ?? 0
    self.vocabulary = vocabulary
    self.positions = positions
    codesPerPosition = vocabularies.count
    self.used = vocabularies.count == 1 ? used?[0] : nil
    usage = self.used.map { Double($0) / Double(vocabulary) }
    usedByPlace = vocabularies.count == 1 ? nil : used
    self.minMargin = minMargin
    self.marginUnit = marginUnit
    self.dtype = dtype
    self.shape = shape
  }

  /// The summary for a reader.
  var line: String {
    var text = "quantize: \(positions) positions, vocabulary \(vocabulary)"
    if let used, let usage { text += ", \(used) used (\((usage * 100).rounded(places: 1))%)" }
    if let usedByPlace {
      let counts = usedByPlace.map { $0.map(String.init) ?? "?" }
      text += ", used \(counts.joined(separator: " "))"
    }
    if let minMargin, let marginUnit {
      text += ", smallest margin \(minMargin) (\(marginUnit))"
    }
    return text + "; wrote \(dtype) \(shape)"
  }
}
