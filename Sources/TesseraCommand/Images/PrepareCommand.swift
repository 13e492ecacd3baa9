import ArgumentParser
import Foundation
import TesseraCore
import TesseraDatasets
public import TesseraImages

extension ImagePreparation.Encoding: ExpressibleByArgument {}

/// Writes what a network will see.
struct PrepareCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prepare",
    abstract: "Decode, orient, resize and crop images as a tokenizer would, and write the pixels.",
    discussion: """
      Pixels equal Pillow's, bit for bit; a 16-bit gray PNG keeps the high byte of its samples, which \
      Pillow clips to white. Of an animation the first frame is taken. Without flags the profile is the embedded tokenizer's: \
      upright, bicubic:short=256, center:256x256. Files that cannot be read are listed in \
      DIR/rejected.jsonl.

      EXAMPLE
        tessera prepare photos -o pixels --resize lanczos:short=512 \\
          --crop center:512x512 --as npy
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

  @Option(name: .shortAndLong, help: "The folder for the results.", completion: .directory)
  var output: String

  @Option(help: "png, or npy: uint8 [h, w, 3].")
  var `as` = ImagePreparation.Encoding.png

  @OptionGroup(title: "Inputs")
  var sources: SourceOptions

  @OptionGroup(title: "Preprocessing")
  var preprocessing: PreprocessingOptions

  @Option(help: "Images in flight; the number of processors by default.")
  var workers = ProcessInfo.processInfo.activeProcessorCount

  @Flag(help: "Exit with 1 where any input was rejected.")
  var strict = false

  @OptionGroup
  var reporting: OutputOptions

  func validate() throws {
    guard workers > 0 else { throw ValidationError("--workers is a positive number") }
  }

  func run() async throws {
    let found = try ImageInputs.collect(inputs, sources.selection)
    for note in found.notes { reporting.note(note) }
    let folder = try PictureFolder(output, verb: "prepare", identity: nil)
    let kept = KeptFiles("prepare", of: found.inputs.count, in: output)
    let preparation = ImagePreparation(
      profile: preprocessing.overriding(.tesseraF8),
      limits: preprocessing.limits,
      encoding: `as`
    )
    var progress = ProgressLine(
      "prepare",
      unit: "images",
      total: found.inputs.count,
      isQuiet: reporting.quiet
    )
    var done = 0
    var rejections: [Rejection] = []
    try await found.inputs.mapInOrder(width: workers, preparation.outcome) { outcome in
      switch outcome {
      case .prepared(let input, let file): try write(file, for: input, into: folder)
      case .rejected(let rejection): rejections.append(rejection)
      }
      done += 1
      kept.count(done)
      progress.show(done)
    }
    let lines = try rejections.flatMap { try CanonicalJSON.line($0) }
    try folder.write(lines, to: DatasetManifest.rejectedFileName)
    try folder.finish()
    try finish(inputs: done, rejections: rejections, found.account)
  }

  private func write(
    _ file: [UInt8],
    for input: ImageInput,
    into folder: PictureFolder
  ) throws {
    // A job that writes into its own input folder must not replace a photograph.
    let own: [String] =
      switch input.location {
      case .file(let root): ["\(root)/\(input.source)"]
      case .path(let path): [path]
      case .member, .refused: []
      }
    try folder.write(file, to: "\(input.key).\(`as`.rawValue)", reading: own)
  }

  private func finish(
    inputs: Int,
    rejections: [Rejection],
    _ account: InputAccount
  ) throws {
    for rejection in rejections { reporting.note("\(rejection.source): \(rejection.reason)") }
    let samples = inputs - rejections.count
    reporting.note(
      "prepare: \(samples) of \(inputs) images written"
        + (rejections.isEmpty ? "" : "; \(rejections.count) rejected, see \(output)/rejected.jsonl")
    )
    if let passedOver = account.text { reporting.note("  \(passedOver)") }
    try reporting.report(
      PrepareSummary(
        inputs: inputs,
        samples: samples,
        rejected: rejections.count,
        account: account
      )
    )
    if samples == 0 || (strict && !rejections.isEmpty) { throw ExitCode(1) }
  }
}

/// What `prepare --json` prints.
private struct PrepareSummary: Encodable {
  let inputs: Int
  let samples: Int
  let rejected: Int
  let account: InputAccount

  private enum CodingKeys: String, CodingKey {
    case inputs, samples, rejected
  }

  /// Writes the account beside the counts.
  func encode(to encoder: any Encoder) throws {
    try account.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(inputs, forKey: .inputs)
    try container.encode(samples, forKey: .samples)
    try container.encode(rejected, forKey: .rejected)
  }
}
