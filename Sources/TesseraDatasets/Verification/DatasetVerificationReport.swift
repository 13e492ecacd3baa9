/// What `verify DATASET` reports: `schemas/verify-dataset.schema.json` states the JSON.
package struct DatasetVerificationReport: Encodable {
  struct File: Encodable {
    let name: String
    let bytes: Int
    let sha256: String
    let problem: String?
  }

  package private(set) var verified = true
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
  package var lines: [String] {
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
