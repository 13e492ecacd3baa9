public import ArgumentParser
import Foundation
import TesseraCore
import TesseraDatasets
public import TesseraSequences

extension PositionScheme.Name: ExpressibleByArgument {}

extension RotaryTable.Layout: ExpressibleByArgument {}

/// Position ids of documents, their properties, and how a rotary embedding turns them.
struct PositionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "positions",
    abstract: "Give every token of a document its position ids; check them; make cos/sin tables.",
    discussion: """
      SEGMENTS.jsonl has one segment per line: {"text": 4}, {"image": [height, width]} or \
      {"video": [frames, height, width], "seconds_per_grid": 0.5}. Extents are those of the codes. \
      Tokens that wrap an image, such as BOI and EOI, are text. A line may be a whole document, \
      [{"text": 4}, {"image": [16, 16]}]: then every line is a document, and each document of the \
      pack is counted from the origin again. The ids are [axes, tokens]: int32, or float32 for \
      tie-fractional, tv and v2pe.

      EXAMPLE
        printf '{"text": 3}\\n{"image": [16, 16]}\\n{"text": 5}\\n' > segments.jsonl
        tessera positions segments.jsonl --scheme mrope -o ids.npy
        tessera positions segments.jsonl --scheme tie --json
        tessera positions --scheme tv --check --json
        tessera positions --table chunked --head-dim 128 --base 1e6 \\
          --sections 16,24,24 --json
        tessera positions segments.jsonl --scheme mrope --table interleaved \\
          --head-dim 128 --base 5e6 --sections 24,20,20 -o table.safetensors

      Axes: position (rope1d, v2pe); row, column (rope2d, tie, tie-fractional, tv), then time in a \
      document with a video; t, h, w (mrope, mrope-time, mrope-frame, glm-image); text first of \
      all with --packed. glm-image writes its two grids as two images with nothing between them: \
      preview, target.
      """
  )

  @Argument(
    help: "The document, or one document per line (JSON Lines); optional with --check and --table.",
    completion: .file(extensions: ["jsonl"])
  )
  var input: String?

  @Option(help: "The scheme; optional with --table.")
  var scheme: PositionScheme.Name?

  @Option(
    name: .shortAndLong,
    help: """
      Where to write: the ids (.npy); with --table cos and sin, .npy [2, tokens, pairs] or .safetensors. \
      Optional with --json.
      """,
    completion: .file(extensions: ["npy", "safetensors"])
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
    help: "Positions per second of video in mrope-time, as the model's configuration says."
  )
  var tokensPerSecond = 2.0

  @Option(help: "Positions per image in v2pe; required there.")
  var stride: Int?

  @Flag(
    help: """
      Put an axis in front that counts each document's tokens from 0: [4, tokens] in M-RoPE, where \
      transformers finds the documents of a pack.
      """
  )
  var packed = false

  @Flag(
    help: """
      Check properties of the ids: compatibility, symmetry, equivalence, uniqueness, monotony, exactness, \
      and their maximum; without SEGMENTS for all small grids.
      """
  )
  var check = false

  @Option(
    help: "With --check: end with exit code 5 where a document needs more positions than this."
  )
  var context: Int?

  @OptionGroup(title: "Table") var table: RotaryTableOptions

  @OptionGroup var reporting: OutputOptions

  func validate() throws {
    if table.layout == nil { try validateIds() }
    guard (scheme != nil) == (input != nil) || check else {
      throw ValidationError("SEGMENTS and --scheme go together.")
    }
    if let layout = table.layout {
      guard !check else { throw ValidationError("--check and --table are separate; name one.") }
      guard table.headDim != nil else {
        throw ValidationError("--table \(layout.rawValue) needs --head-dim.")
      }
      guard output != nil || reporting.json else {
        throw ValidationError("Name an output with -o, or print the table with --json.")
      }
      guard let output else { return }
      let isNPY = output.lowercased().hasSuffix(".npy")
      guard isNPY || output.lowercased().hasSuffix(".safetensors") else {
        throw ValidationError("-o: a table is an .npy or a .safetensors")
      }
      guard input != nil || !isNPY else {
        throw ValidationError("-o: an .npy contains cos and sin; name SEGMENTS and --scheme.")
      }
    } else if table.isSet {
      throw ValidationError("--head-dim, --base and --sections belong to --table.")
    }
  }

  private func validateIds() throws {
    guard scheme != nil else { throw ValidationError("Name a --scheme.") }
    if check {
      guard output == nil else { throw ValidationError("--check writes no file; leave out -o.") }
    } else {
      guard input != nil else { throw ValidationError("Name a segments file.") }
      guard output != nil || reporting.json else {
        throw ValidationError("Name an output with -o, or print the ids with --json.")
      }
    }
    guard context == nil || check else { throw ValidationError("--context belongs to --check.") }
    if let context, context < 1 { throw ValidationError("--context: not a number from 1") }
  }

  func run() throws {
    let rule = try scheme.map {
      try PositionScheme($0, origin: origin, tokensPerSecond: tokensPerSecond, stride: stride)
    }
    if check, let rule { return try runCheck(rule) }
    let positions = try rule.flatMap { rule in try input.map { try ids(rule, of: $0) } }
    if let layout = table.layout {
      let axes = positions.map { $0.axes.count - (packed ? 1 : 0) }
      return try run(table.table(layout, axes: axes), positions)
    }
    guard let positions, let scheme, let input else { return }
    if let output {
      var file = try AtomicFile(path: output, reading: [input])
      try file.write(try NPYFile.encode(positions.tensor))
      try file.commit()
    }
    reporting.note(
      "positions: \(scheme.rawValue), \(positions.axes.count) axes, \(positions.tokens) tokens, "
        + "next \(positions.next)"
    )
    if reporting.json { try StandardOutput.write(positions.json(scheme: scheme)) }
  }

  private func run(_ table: RotaryTable, _ positions: PositionIds?) throws {
    if let output { try table.write(to: output, of: positions, reading: input.map { [$0] } ?? []) }
    reporting.note(
      "positions: \(table.layout.rawValue) table, \(table.axis.count) frequencies of "
        + "\(table.axisCount) axes" + (positions.map { ", \($0.tokens) tokens" } ?? "")
    )
    try reporting.report(RotaryTableReport(table, of: positions))
  }

  private func documents(in path: String) throws -> [[Segment]] {
    let lines = try TextFile.bytes(of: path, maximumBytes: 1 << 28)
    return try TesseraError.naming(path) { try SegmentFile.documents(parsing: lines) }
  }

  private func ids(_ rule: PositionScheme, of path: String) throws -> PositionIds {
    let documents = try documents(in: path)
    return try TesseraError.naming(path) {
      try rule.positions(ofPack: documents, withTextAxis: packed)
    }
  }

  private func runCheck(_ rule: PositionScheme) throws {
    let documents = try input.map(documents) ?? PositionCheck.documents(for: rule)
    let check = try TesseraError.naming(input ?? "--scheme \(rule.name.rawValue)") {
      try PositionCheck(rule, documents: documents)
    }
    let report = PositionCheckReport(check, scheme: rule, context: context)
    for line in report.lines { reporting.note(line) }
    try reporting.report(report)
    if let context, check.span > context {
      throw TesseraError.limit(
        "the ids span \(check.span) positions, and the context has \(context); shorten the documents"
      ).in(input ?? rule.name.rawValue)
    }
  }
}
