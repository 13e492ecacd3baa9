import ArgumentParser
import Foundation
import TesseraCore
public import TesseraImages
import TesseraTokenizers

extension SmartResizeChoice: ExpressibleByArgument {}

/// Plans sizes and token counts.
struct GridCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "grid",
    abstract: "Print the size, code grid and token count of each image, from its header alone.",
    discussion: """
      EXAMPLE
        tessera grid photos/
        tessera grid photos/ --smart-resize qwen2-vl --json
        tessera grid photos/ --resize bicubic:area=262144/16 --crop none --stride 16

      One line per image: source, size, resized size, grid (height x width), tokens, separated by \
      tabs. Sizes are width x height. Without flags the profile is that of the embedded tokenizer. \
      What would be rejected is named on standard error, and what was passed over is counted there.
      """
  )

  @Argument(
    help: """
      Folders, single images, lists (.txt, one path per line) or archives (.tar). In a folder a file with a picture's ending \
      (\(ImageFormat.endings)) or a picture's first bytes is an input.
      """,
    completion: .file()
  )
  var inputs: [String]

  @Option(help: "The tokenizer that gives profile and stride. (default: tessera-f8)")
  var tokenizer: String?

  @Option(
    help: """
      In place of a tokenizer's profile: a model's smart_resize by name, or FACTOR/MIN/MAX[:VARIANT] in \
      pixels, one token per factor x factor.
      """
  )
  var smartResize: SmartResizeChoice?

  @Option(help: "Pixels per code, in place of the tokenizer's.")
  var stride: Int?

  @OptionGroup(title: "Inputs") var sources: SourceOptions
  @OptionGroup(title: "Preprocessing") var preprocessing: PreprocessingOptions

  @Flag(help: "Exit with 1 where any input would be rejected.")
  var strict = false

  @OptionGroup var reporting: OutputOptions

  func validate() throws {
    if let stride, !(1...1 << 16).contains(stride) {
      throw ValidationError("--stride: not from 1 to 65536")
    }
    guard smartResize == nil || (tokenizer == nil && preprocessing.resize == nil) else {
      throw ValidationError("--smart-resize stands in place of --tokenizer and --resize")
    }
  }

  func run() async throws {
    let found = try ImageInputs.collect(inputs, sources.selection)
    for note in found.notes { reporting.note(note) }
    let planner = try makePlanner()
    var total = GridTotal(found.account)
    var isFirst = true
    if reporting.json { try StandardOutput.write("{\"images\": [") }
    try await found.inputs.mapInOrder(
      width: ProcessInfo.processInfo.activeProcessorCount,
      planner.outcome
    ) { outcome in
      total.add(outcome)
      switch outcome {
      case .planned(let plan):
        if reporting.json {
          let line = String(decoding: try CanonicalJSON.line(plan).dropLast(), as: UTF8.self)
          try StandardOutput.write((isFirst ? "\n" : ",\n") + line)
          isFirst = false
        } else {
          try StandardOutput.print(plan.text)
        }
      case .rejected(let rejection):
        reporting.note(
          "rejected \(rejection.source): \(rejection.stage.rawValue): \(rejection.reason)"
        )
      }
    }
    if reporting.json {
      let line = String(decoding: try CanonicalJSON.line(total), as: UTF8.self)
      try StandardOutput.print("\n],\n\"total\": \(line)}")
    }
    reporting.note(
      "grid: \(total.images) images, \(total.tokens) tokens, at most \(total.most) an image; "
        + "\(total.rejected) rejected"
    )
    if let passedOver = found.account.text { reporting.note("  \(passedOver)") }
    if total.images == 0 || (strict && total.rejected > 0) { throw ExitCode(1) }
  }

  private func makePlanner() throws -> GridPlanner {
    var profile = Preprocessing()
    var step = stride
    var patch = stride
    if let smartResize {
      profile.resize = .smart(.bicubic, smartResize.rule)
      step = stride ?? smartResize.stride
      patch = stride ?? smartResize.patch
    } else if tokenizer != nil || stride == nil {
      let opened = try ImageTokenizer(opening: tokenizer ?? ImageTokenizer.embeddedName)
      profile = opened.description.preprocessing
      step = stride ?? opened.stride
      patch = step
    }
    return GridPlanner(
      profile: preprocessing.overriding(profile),
      limits: preprocessing.limits,
      stride: step ?? 1,
      patch: patch ?? 1
    )
  }
}
