import ArgumentParser
import Readers
import Tensors
import Tokenization
import Writers

/// The quantizer alone: latents to codes and back.
struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Turn latents into codes with a named quantizer, or codes into a decoder's values.",
    discussion: """
      LATENTS.npy holds float32 [..., d], channels last; the codes are unsigned [...] in the narrowest \
      type for the vocabulary. Files are streamed: they may be larger than memory.

      EXAMPLE
        echo '{"kind": "fsq", "variant": "atanh", "levels": [8, 5, 5, 5]}' > fsq.json
        tessera quantize latents.npy --quantizer fsq.json -o codes.npy
        tessera quantize codes.npy --quantizer fsq.json --inverse -o values.npy

      The summary says how many codes were used, and the smallest distance of a latent to a rounding \
      boundary, in levels: another implementation can differ only where that is small.
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

  @OptionGroup var reporting: OutputOptions

  func run() throws {
    let json = try FileDigest.bytes(of: quantizer, maximumBytes: 1 << 20)
    let specification = try FileProblem.naming(quantizer) {
      try QuantizerSpecification(parsing: json)
    }
    let file = try ArrayFile(path: input)
    switch specification {
    case .finiteScalar(let quantizer):
      let run = FiniteScalarRun(
        quantizer: quantizer,
        specification: specification,
        usesDigits: digits,
        input: input,
        file: file,
        output: output,
        inputs: [input, self.quantizer]
      )
      let summary = inverse ? try run.dequantize() : try run.quantize()
      reporting.note(summary.line)
      try reporting.report(summary)
    }
  }
}

/// What a run reports.
struct QuantizeSummary: Encodable {
  let quantizer: QuantizerSpecification
  let vocabulary: Int
  let positions: Int
  /// The number of different codes; nil with `--inverse`, and where the vocabulary has over 2^27.
  var used: Int?
  /// `used` as a share of the vocabulary.
  var usage: Double?
  /// The smallest margin, in levels; nil with `--inverse` and without positions.
  var minMargin: Float?
  let dtype: String
  let shape: [Int]

  private enum CodingKeys: String, CodingKey {
    case quantizer, vocabulary, positions, used, usage, dtype, shape
    case minMargin = "min_margin"
  }

  /// The summary for a reader.
  var line: String {
    var text = "quantize: \(positions) positions, vocabulary \(vocabulary)"
    if let used, let usage { text += ", \(used) used (\((usage * 100).rounded(places: 1))%)" }
    if let minMargin { text += ", smallest margin \(minMargin)" }
    return text + "; wrote \(dtype) \(shape)"
  }
}
