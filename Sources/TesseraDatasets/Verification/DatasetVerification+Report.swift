import Foundation
import TesseraCore
package import TesseraTokenizers

extension DatasetVerification {
  /// Refuses a folder that is no finished dataset.
  ///
  /// A dataset without its manifest lacks a file, as one without a shard does; other folders are no datasets.
  package static func refuseUnfinished(_ folder: String) throws {
    let manifest = "\(folder)/\(DatasetManifest.fileName)"
    if FileManager.default.fileExists(atPath: manifest) { return }
    guard FileManager.default.fileExists(atPath: folder) else {
      throw TesseraError.system("find", folder, ENOENT)
    }
    let left = tracesOfDatasets.first {
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

  /// How many bytes `report` reads, as far as that can be known.
  ///
  /// - Throws: `TesseraError` where this machine, not the dataset, is at fault.
  package func byteCount() throws -> Int {
    var bytes = files.reduce(0) { $0 + $1.bytes }
    _ = try forEachListed { bytes += min($0.bytes, Self.largestSmallFile) }
    return bytes
  }

  /// Reads every file that the dataset names, and looks for others.
  ///
  /// - Parameter progress: Is told how many bytes have been read.
  /// - Returns: What differs.
  /// - Throws: `TesseraError` where this machine, not the dataset, is at fault.
  package func report(progress: (Int) -> Void) throws -> DatasetVerificationReport {
    let manifest = dataset.manifest
    var report = DatasetVerificationReport(manifest)
    report.problems = try contradictions()
    var done = 0
    for file in files {
      report.add(file, try problem(of: file))
      done += file.bytes
      progress(done)
    }
    let fault = try forEachListed { file in
      report.add(listed: file, try problem(of: file))
      done += min(file.bytes, Self.largestSmallFile)
      progress(done)
    }
    if let fault { report.problems.append(fault) }
    if manifest.hasLooseFiles, report.listed == 0 {
      report.problems.append(
        "\(manifest.settings.format): nothing says what its small files contain; export the dataset again"
      )
    }
    try forEachUnlisted { name in report.add(unlisted: name) }
    return report
  }

  /// Encodes samples, spread over the dataset, again.
  ///
  /// - Parameters:
  ///   - count: How many samples.
  ///   - originals: The folder that was tokenized, or all that was.
  ///   - tokenizer: The tokenizer that the user names; nil for the embedded one.
  ///   - report: Takes how many were encoded and what differs.
  /// - Throws: `TesseraError` where the tokenizer is another one, or this machine is at fault.
  package func encodeAgain(
    _ count: Int,
    from originals: [String],
    tokenizer: String?,
    adding report: inout DatasetVerificationReport
  ) async throws {
    let settings = dataset.manifest.settings
    let encoding = try SampleReencoding(
      settings: settings,
      tokenizer: try settings.tokenizer.open(tokenizer, for: .encoder),
      originals: originals
    )
    report.encoded = 0
    // What is known to be damaged is not read again.
    let damaged = Set(report.files.filter { $0.problem != nil }.map(\.name))
    for (shard, positions) in spread(count) where !damaged.contains(shard.name) {
      let all = try dataset.samples(of: shard)
      let chosen = positions.map { all[$0] }
      let workers = ProcessInfo.processInfo.activeProcessorCount
      try await chosen.mapInOrder(width: workers, encoding.result) { result in
        report.encoded = (report.encoded ?? 0) + 1
        if let problem = result.problem { report.problems.append("\(result.key): \(problem)") }
      }
    }
  }
}

extension TokenizerIdentity {
  /// The tokenizer that the user names, or the embedded one; a path in a manifest is not opened.
  ///
  /// - Throws: `TesseraError` where neither is at hand.
  package func open(
    _ named: String?,
    for halves: ImageTokenizer.Halves
  ) throws -> ImageTokenizer {
    if let named { return try ImageTokenizer(opening: named, for: halves) }
    guard name == ImageTokenizer.embeddedName else {
      throw TesseraError.mismatch(
        "the dataset's tokenizer is not built in; name its file with --tokenizer",
        file: name
      )
    }
    return try ImageTokenizer(for: halves)
  }
}
