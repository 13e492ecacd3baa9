import ArgumentParser
import Foundation
import TesseraCore
import TesseraDatasets
import TesseraTokenizers

/// `verify DATASET`: its files, and codes of its originals.
struct DatasetVerificationOptions: ParsableArguments {
  @Option(help: "The folder that was tokenized: samples are encoded again.", completion: .directory)
  var originals: String?

  @Option(help: "How many samples are encoded again. (default: 32)")
  var samples: Int?

  @Option(
    help: "The tokenizer that made the dataset. (default: the embedded one, if its name is there)",
    completion: .file()
  )
  var tokenizer: String?

  /// Whether nothing was set.
  var isDefault: Bool { originals == nil && samples == nil && tokenizer == nil }

  func validate() throws {
    if let samples, samples < 1 { throw ValidationError("--samples: not 1 or more.") }
    guard originals != nil || (samples == nil && tokenizer == nil) else {
      throw ValidationError("--samples and --tokenizer belong to --originals.")
    }
  }

  /// Checks a dataset and reports.
  ///
  /// - Throws: `ExitCode` of a mismatch where anything differs.
  func verify(_ folder: String, _ output: OutputOptions) async throws {
    try refuseUnfinished(folder)
    let dataset = try TokenDataset(path: folder)
    let verification = DatasetVerification(of: dataset)
    var report = DatasetVerificationReport(dataset.manifest)
    report.problems = try verification.contradictions()
    try check(verification, dataset.manifest, output, &report)
    if let originals { try await encodeAgain(dataset, verification, originals, &report) }
    for line in report.lines { output.note(line) }
    try output.report(report)
    if !report.verified { throw ExitCode(FailureKind.mismatch.rawValue) }
  }

  /// A dataset without its manifest lacks a file, as one without a shard does; other folders are no datasets.
  private func refuseUnfinished(_ folder: String) throws {
    let manifest = "\(folder)/\(DatasetManifest.fileName)"
    if FileManager.default.fileExists(atPath: manifest) { return }
    guard FileManager.default.fileExists(atPath: folder) else {
      throw TesseraError.system("find", folder, ENOENT)
    }
    let left = Self.tracesOfDatasets.first {
      FileManager.default.fileExists(atPath: "\(folder)/\($0)")
    }
    guard let left else {
      throw TesseraError.malformed(
        "no finished dataset (\(DatasetManifest.fileName) is missing); two checkpoints are two arguments",
        file: folder
      )
    }
    throw TesseraError.mismatch(
      "missing, beside '\(left)': no finished dataset; copy it again as a whole, or make it again",
      file: "\(folder)/\(DatasetManifest.fileName)"
    )
  }

  /// What one of the files that a list names counts for progress, at most: the list may claim anything.
  private static let largestSmallFile = 1 << 28

  /// What only the folder of a dataset, finished or not, holds.
  private static let tracesOfDatasets = [
    FolderOwner.workName, DatasetManifest.rejectedFileName, "files.jsonl", "shards",
  ]

  /// Reads every file that the dataset names, and looks for others.
  private func check(
    _ verification: DatasetVerification,
    _ manifest: DatasetManifest,
    _ output: OutputOptions,
    _ report: inout DatasetVerificationReport
  ) throws {
    let files = verification.files
    var bytes = files.reduce(0) { $0 + $1.bytes }
    _ = try verification.forEachListed { bytes += min($0.bytes, Self.largestSmallFile) }
    let progress = ByteProgress("verify", bytes: bytes, isQuiet: output.quiet)
    var done = 0
    for file in files {
      report.add(file, try verification.problem(of: file))
      done += file.bytes
      progress.show(done)
    }
    let fault = try verification.forEachListed { file in
      report.add(listed: file, try verification.problem(of: file))
      done += min(file.bytes, Self.largestSmallFile)
      progress.show(done)
    }
    if let fault { report.problems.append(fault) }
    if manifest.hasLooseFiles, report.listed == 0 {
      report.problems.append(
        "\(manifest.settings.format): nothing says what its small files hold; export the dataset again"
      )
    }
    try verification.forEachUnlisted { name in report.add(unlisted: name) }
  }

  private func encodeAgain(
    _ dataset: TokenDataset,
    _ verification: DatasetVerification,
    _ originals: String,
    _ report: inout DatasetVerificationReport
  ) async throws {
    let settings = dataset.manifest.settings
    let encoding = try SampleReencoding(
      settings: settings,
      tokenizer: try openTokenizer(for: settings.tokenizer),
      originals: originals
    )
    report.encoded = 0
    // What is known to be damaged is not read again.
    let damaged = Set(report.files.filter { $0.problem != nil }.map(\.name))
    for (shard, positions) in verification.spread(samples ?? 32) where !damaged.contains(shard.name)
    {
      let all = try dataset.samples(of: shard)
      let chosen = positions.map { all[$0] }
      let workers = ProcessInfo.processInfo.activeProcessorCount
      try await chosen.mapInOrder(width: workers, encoding.result) { result in
        report.encoded = (report.encoded ?? 0) + 1
        if let problem = result.problem { report.problems.append("\(result.key): \(problem)") }
      }
    }
  }

  /// The tokenizer named on the command line, or the embedded one; a path in a manifest is not opened.
  private func openTokenizer(for identity: TokenizerIdentity) throws -> ImageTokenizer {
    if let tokenizer { return try ImageTokenizer(opening: tokenizer, for: .encoder) }
    guard identity.name == ImageTokenizer.embeddedName else {
      throw TesseraError.mismatch(
        "the dataset's tokenizer is not built in; name its file with --tokenizer",
        file: identity.name
      )
    }
    return try ImageTokenizer(for: .encoder)
  }
}

/// What `verify DATASET` reports: `schemas/verify-dataset.schema.json` states the JSON.
struct DatasetVerificationReport: Encodable {
  struct File: Encodable {
    let name: String
    let bytes: Int
    let sha256: String
    let problem: String?
  }

  private(set) var verified = true
  let samples: Int
  let tokens: Int
  let rejected: Int
  private(set) var files: [File] = []
  /// The small files that a list of the dataset's names; those among `files` that differ.
  private(set) var listed = 0
  /// Files, and folders that are empty, that nothing names, the first of them.
  private(set) var unlisted: [String] = []
  private var unlistedCount = 0
  private var ownFiles = 0
  /// The samples that were encoded again; nil without originals.
  var encoded: Int?
  /// What differs apart from files, a sentence each.
  var problems: [String] = [] { didSet { verified = verified && problems.isEmpty } }

  init(_ manifest: DatasetManifest) {
    samples = manifest.samples
    tokens = manifest.tokens
    rejected = manifest.rejected
  }

  /// Adds a file and what is wrong with it.
  mutating func add(_ file: DatasetFile, _ problem: String?) {
    ownFiles += 1
    files.append(
      File(name: file.name, bytes: file.bytes, sha256: file.sha256, problem: problem)
    )
    if problem != nil { verified = false }
  }

  /// How many names of files too many are shown.
  private static let shown = 1000

  /// Adds one of the small files; only those that differ are kept.
  mutating func add(listed file: DatasetFile, _ problem: String?) {
    listed += 1
    guard problem != nil else { return }
    add(file, problem)
    ownFiles -= 1
  }

  /// Adds a file that nothing names.
  mutating func add(unlisted name: String) {
    verified = false
    unlistedCount += 1
    if unlisted.count < Self.shown { unlisted.append(name) }
  }

  enum CodingKeys: String, CodingKey {
    case verified, samples, tokens, rejected, files, listed, unlisted, encoded, problems
  }

  /// The report as text: what fails, then the sum.
  var lines: [String] {
    let damaged = files.compactMap { file in file.problem.map { "\(file.name): \($0)" } }
    let again = encoded.map { ", \($0) samples encoded again" } ?? ""
    let extra = unlisted.map { name in
      "\(name): the dataset names no such \(name.hasSuffix("/") ? "folder" : "file"); remove it"
    }
    let more = unlistedCount - unlisted.count
    let rest = more > 0 ? ["… and \(more) more files that the dataset does not name"] : []
    let sum = "\(ownFiles + listed) files, \(samples) samples, \(tokens) tokens\(again)"
    let verdict = verified ? "verified" : "not what its manifest says"
    return damaged + problems + extra + rest + ["\(verdict): \(sum)"]
  }
}
