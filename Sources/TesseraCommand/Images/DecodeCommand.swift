import ArgumentParser
import Foundation
import TesseraCore
import TesseraDatasets
import TesseraImages
import TesseraTokenizers

struct DecodeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decode",
    abstract: "Turn the codes of a dataset back into pictures.",
    usage: "tessera decode <dataset> --output <output> [<options>]",
    discussion: """
      EXAMPLE
        tessera decode dataset -o decoded
        tessera decode dataset -o decoded --originals photos/ --json

      Takes a dataset of any layout of Tessera with codes. Writes KEY.png for each sample, and \
      contact-sheet.png of the first ones, beside their originals where these are given. \
      --originals names the folder that was tokenized (give it once per input where there were \
      several, lists or archives); each picture is compared with what the \
      encoder saw of it (PSNR in dB over RGB).
      """
  )

  @Argument(help: "The folder of a finished dataset.", completion: .directory)
  var dataset: String

  @Option(name: .shortAndLong, help: "A new or empty folder.", completion: .directory)
  var output: String

  @Option(
    help: """
      The tokenizer that made the dataset, as 'tokenize' takes it. (default: the embedded one, where the dataset names \
      it)
      """,
    completion: .file()
  )
  var tokenizer: String?

  @Option(
    help: "What was tokenized, to compare with: a folder; repeated, all inputs in their order.",
    completion: .file()
  )
  var originals: [String] = []

  @Option(help: "Decode no more than this many samples.")
  var limit: Int?

  @Option(help: "How many pictures the contact sheet shows; 0 for no sheet.")
  var sheet: Int = 16

  @Option(help: "Images in flight.")
  var workers: Int = ProcessInfo.processInfo.activeProcessorCount

  @OptionGroup var outputOptions: OutputOptions

  func validate() throws {
    if let limit, limit < 1 { throw ValidationError("--limit: \(limit) is not 1 or more") }
    guard (0...256).contains(sheet) else {
      throw ValidationError("--sheet: \(sheet) is not from 0 to 256")
    }
    guard (1...4096).contains(workers) else {
      throw ValidationError("--workers: \(workers) is not from 1 to 4096")
    }
  }

  func run() async throws {
    let dataset = try TokenDataset(path: dataset)
    let settings = dataset.manifest.settings
    let decoding = try DatasetDecoding(
      settings: settings,
      tokenizer: settings.tokenizer.open(tokenizer, for: .decoder),
      originals: originals
    )
    let samples = try CodedSamples(of: dataset, limit: limit ?? .max)
    let identity = try identity(of: dataset)
    var folder = DecodedPictures(
      try PictureFolder(output, verb: "decode", identity: identity)
    )
    let kept = KeptFiles("decode", of: samples.count, in: output)
    var line = ProgressLine(
      "decode",
      unit: "images",
      total: samples.count,
      isQuiet: outputOptions.quiet
    )
    var report = try DecodeReport(isPrinting: outputOptions.json)
    var contacts = ContactSheet(capacity: sheet)
    try await (0..<samples.count).mapInOrder(width: workers) { index in
      try await decoding.picture(of: samples.sample(index))
    } consume: { picture in
      try folder.write(picture.reconstruction, named: picture.key)
      contacts.add(original: picture.original, reconstruction: picture.reconstruction)
      if let warning = try report.add(picture) { outputOptions.note(warning) }
      kept.count(report.decoded)
      line.show(report.decoded)
    }
    try folder.finish(with: contacts)
    try report.finish()
    outputOptions.note("\(output): \(report.text)")
  }
}

extension DecodeCommand {
  /// What the pictures follow from, for a run that goes on.
  private func identity(of dataset: TokenDataset) throws -> String {
    let manifest = FileDigest.sha256(of: try CanonicalJSON.line(dataset.manifest))
    let originals = originals.isEmpty ? "alone" : "with originals"
    return "\(manifest) limit \(limit.map(String.init) ?? "none") sheet \(sheet) \(originals)"
  }
}
