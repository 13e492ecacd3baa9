import ArgumentParser
import Foundation
import TesseraCore
import TesseraSequences

/// Text through a user's tokenizer: how fast, and which ids.
struct BenchTextCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "text",
    abstract: "Encode the lines of a file with a text tokenizer, on one thread.",
    discussion:
      "EXAMPLE: tessera-bench text captions.txt --text-tokenizer tokenizer.json -o ids.npy"
  )

  @Argument(help: "UTF-8, a text a line.", completion: .file())
  var input: String

  @Option(help: "A tokenizer.json, or a SentencePiece model.", completion: .file())
  var textTokenizer: String

  @Option(
    name: .shortAndLong,
    help: "Where to write the ids of all lines, int32, and -1 behind each line (.npy).",
    completion: .file(extensions: ["npy"])
  )
  var output: String?

  @Option(help: "How often the lines are encoded; the fastest time counts.")
  var repeats = 1

  func validate() throws {
    guard (1...1000).contains(repeats) else {
      throw ValidationError("--repeats: not from 1 to 1000")
    }
  }

  func run() throws {
    let tokenizer = try TextTokenizer(opening: textTokenizer)
    let bytes = try FileDigest.bytes(of: input, maximumBytes: 1 << 30)
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    var ids: [Int32] = []
    var best = Double.infinity
    let clock = ContinuousClock()
    for _ in 0..<repeats {
      ids.removeAll(keepingCapacity: true)
      var encoder = tokenizer.makeEncoder()
      let start = clock.now
      for line in lines { ids += try encoder.encode(line) + [-1] }
      best = min(best, (clock.now - start) / .seconds(1))
    }
    if let output {
      var file = try AtomicFile(path: output, reading: [input])
      try file.write(try NPYFile.encode(Tensor(shape: [ids.count], elements: ids)))
      try file.commit()
    }
    let report = BenchTextReport(
      lines: lines.count,
      bytes: bytes.count,
      tokens: ids.count - lines.count,
      vocabularySize: tokenizer.vocabularySize,
      seconds: best,
      megabytesPerSecond: Double(bytes.count) / best / 1e6
    )
    Figures.note(
      "text: \(report.tokens) tokens of \(report.lines) lines, \(Int(report.megabytesPerSecond)) MB/s"
    )
    try Figures.report(report)
  }
}

private struct BenchTextReport: Encodable {
  let lines, bytes, tokens, vocabularySize: Int
  let seconds, megabytesPerSecond: Double

  enum CodingKeys: String, CodingKey {
    case lines, bytes, tokens, seconds
    case vocabularySize = "vocabulary_size"
    case megabytesPerSecond = "megabytes_per_second"
  }
}
