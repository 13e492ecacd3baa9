public import ArgumentParser
import Foundation
import Readers
import Tensors
public import Tokenization
import Writers

extension PositionScheme.Name: ExpressibleByArgument {}

/// Position ids of one document.
struct PositionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "positions",
    abstract: "Give every token of a document its position ids.",
    discussion: """
      SEGMENTS.jsonl holds a segment a line: {"text": 4}, {"image": [height, width]} or \
      {"video": [frames, height, width], "seconds_per_grid": 0.5}. Extents are those of the codes. \
      Tokens that wrap an image, such as BOI and EOI, are text. The ids are [axes, tokens]: int32, or \
      float32 for tie-fractional, tv and v2pe.

      EXAMPLE
        printf '{"text": 3}\\n{"image": [16, 16]}\\n{"text": 5}\\n' > segments.jsonl
        tessera positions segments.jsonl --scheme mrope -o ids.npy
        tessera positions segments.jsonl --scheme tie --json

      Axes: position (rope1d, v2pe); row, column (rope2d, tie, tie-fractional, tv), then time in a \
      document with a video; t, h, w (mrope, mrope-time, mrope-frame).
      """
  )

  @Argument(help: "The document (JSON Lines).", completion: .file(extensions: ["jsonl"]))
  var input: String

  @Option(help: "The scheme.")
  var scheme: PositionScheme.Name

  @Option(
    name: .shortAndLong,
    help: "Where to write the ids (.npy); optional with --json.",
    completion: .file(extensions: ["npy"])
  )
  var output: String?

  @Option(
    help: """
      The first text position; in rope2d the first row and column. Otherwise the scheme's own: 1 for \
      tie, tie-fractional and tv, 0 for the others.
      """
  )
  var origin: Int?

  @Option(
    help: "Positions a second of video takes in mrope-time, as the model's configuration says."
  )
  var tokensPerSecond = 2.0

  @Option(help: "Positions an image takes in v2pe, which needs it.")
  var stride: Int?

  @OptionGroup var reporting: OutputOptions

  func validate() throws {
    guard output != nil || reporting.json else {
      throw ValidationError("Name an output with -o, or print the ids with --json.")
    }
  }

  func run() throws {
    let rule = try PositionScheme(
      scheme,
      origin: origin,
      tokensPerSecond: tokensPerSecond,
      stride: stride
    )
    let lines = try FileDigest.bytes(of: input, maximumBytes: 1 << 28)
    let positions = try FileProblem.naming(input) {
      try rule.positions(of: [Segment](parsing: lines))
    }
    if let output {
      var file = try AtomicFile(path: output, reading: [input])
      try file.write(try NPYFile.encode(positions.tensor))
      try file.commit()
    }
    reporting.note(
      "positions: \(scheme.rawValue), \(positions.axes.count) axes, \(positions.tokens) tokens, "
        + "next \(positions.next)"
    )
    if reporting.json { writeJSON(positions) }
  }

  /// Prints the ids, a line an axis.
  private func writeJSON(_ positions: PositionIds) {
    func list(_ items: [String]) -> String { "[" + items.joined(separator: ", ") + "]" }
    let ids = positions.axes.indices.map { axis in
      list(positions.ids(axis: axis).map(PositionsCommand.number))
    }
    let text = """
      {
        "scheme": "\(scheme.rawValue)",
        "axes": \(list(positions.axes.map { "\"\($0)\"" })),
        "ids": [
          \(ids.joined(separator: ",\n    "))
        ],
        "next": \(positions.next),
        "delta": \(positions.delta)
      }

      """
    FileHandle.standardOutput.write(Data(text.utf8))
  }

  /// Whole numbers without a point; fractions with as many digits as float32 needs.
  private static func number(_ id: Double) -> String {
    Int(exactly: id).map(String.init) ?? "\(Float(id))"
  }
}
