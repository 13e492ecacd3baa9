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
    discussion: """
      EXAMPLE
        tessera decode dataset -o decoded
        tessera decode dataset -o decoded --originals photos/ --json

      Takes a dataset of any layout of ours that holds codes. Writes KEY.png for each sample, and contact-sheet.png of the first ones, beside their
      originals where these are given. --originals names the folder that was tokenized; each
      picture is compared with what the encoder saw of it (PSNR in dB over RGB).
      """
  )

  @Argument(help: "The folder of a finished dataset.", completion: .directory)
  var dataset: String

  @Option(name: .shortAndLong, help: "A new or empty folder.", completion: .directory)
  var output: String

  @Option(
    help: """
      The tokenizer that made the dataset, as 'tokenize' takes it. (default: the embedded one, if its name is \
      there)
      """,
    completion: .file()
  )
  var tokenizer: String?

  @Option(help: "The folder that was tokenized, to compare with.", completion: .directory)
  var originals: String?

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
      tokenizer: openTokenizer(for: settings.tokenizer),
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
    let originals = originals.map { _ in "with originals" } ?? "alone"
    return "\(manifest) limit \(limit.map(String.init) ?? "none") sheet \(sheet) \(originals)"
  }

  /// The tokenizer named on the command line, or the embedded one; a path in a manifest is not opened.
  private func openTokenizer(for identity: TokenizerIdentity) throws -> ImageTokenizer {
    if let tokenizer { return try ImageTokenizer(opening: tokenizer, for: .decoder) }
    guard identity.name == ImageTokenizer.embeddedName else {
      throw TesseraError.mismatch(
        "the dataset's tokenizer is not built in; name its file with --tokenizer",
        file: identity.name
      )
    }
    return try ImageTokenizer(for: .decoder)
  }
}

/// The pictures of `decode`.
private struct DecodedPictures {
  private let folder: PictureFolder
  private var isSheetNameTaken = false

  init(_ folder: PictureFolder) { self.folder = folder }

  /// The name of the contact sheet; an image may have been called so.
  private static let sheetName = "contact-sheet"

  /// Writes one picture as PNG; keys hold slashes where the images lay in folders.
  mutating func write(_ image: RGBImage, named name: String) throws {
    if name == Self.sheetName { isSheetNameTaken = true }
    try folder.write(PNGFile.encode(image), to: "\(name).png")
  }

  /// Writes the sheet, where there is one, and ends the run.
  consuming func finish(with contacts: ContactSheet) throws {
    if !contacts.isEmpty {
      let name = isSheetNameTaken ? Self.sheetName + "_" : Self.sheetName
      try write(contacts.image, named: name)
    }
    try folder.finish()
  }
}

/// What `decode` says: with `--json` a line a picture as it is done, so memory stays bounded.
private struct DecodeReport {
  let isPrinting: Bool
  private(set) var decoded = 0
  private var compared = 0
  private var unavailable = 0
  private var sum = 0.0

  init(isPrinting: Bool) throws {
    self.isPrinting = isPrinting
    if isPrinting { try StandardOutput.write("{\"images\": [") }
  }

  /// One element of `images`; `psnr` is null where there is nothing to compare, or no difference.
  private struct Line: Encodable {
    let key: String
    let psnr: Double?
    let identical: Bool
  }

  /// Counts a picture.
  ///
  /// - Returns: A line for the reader, where its original cannot be compared.
  mutating func add(_ picture: DatasetDecoding.Picture) throws -> String? {
    var warning: String?
    var decibels: Double?
    switch picture.comparison {
    case .none: break
    case .decibels(let value):
      decibels = value
      compared += 1
      // Equal pictures have no finite ratio; 8 bits resolve nothing above 100 dB.
      sum += min(value, 100)
    case .unavailable(let reason):
      unavailable += 1
      warning = "not compared: \(reason)"
    }
    if isPrinting {
      let isIdentical = decibels == .infinity
      let line = Line(
        key: picture.key,
        psnr: isIdentical ? nil : decibels,
        identical: isIdentical
      )
      let text = String(decoding: try CanonicalJSON.line(line).dropLast(), as: UTF8.self)
      try StandardOutput.write(decoded == 0 ? "\n  \(text)" : ",\n  \(text)")
    }
    decoded += 1
    return warning
  }

  /// The mean over all compared pictures, in decibels.
  private var mean: Double? { compared > 0 ? sum / Double(compared) : nil }

  /// Ends the JSON.
  func finish() throws {
    guard isPrinting else { return }
    let psnr = mean.map { "\($0)" } ?? "null"
    try StandardOutput.print(
      "\n], \"decoded\": \(decoded), \"compared\": \(compared), "
        + "\"unavailable\": \(unavailable), \"psnr\": \(psnr)}"
    )
  }

  var text: String {
    var text = "\(decoded) pictures"
    if let mean { text += ", PSNR \(mean.rounded(places: 2)) dB over \(compared)" }
    if unavailable > 0 { text += ", \(unavailable) without their original" }
    return text
  }
}
