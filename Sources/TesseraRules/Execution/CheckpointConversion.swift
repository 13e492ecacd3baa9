import Foundation
package import TesseraCheckpoints
package import TesseraCore

/// A plan carried out: from an open checkpoint to the files of another, a tile at a time.
package struct CheckpointConversion: Sendable {
  /// What is read.
  package let checkpoint: any CheckpointReader
  /// The files behind it.
  package let sourceFiles: [String]
  /// What is done.
  package let plan: ConversionPlan
  /// The version of the program, for the result's metadata.
  package let toolVersion: String
  /// The results that repeat others, or did before they were dropped: recorded in the metadata.
  package var ties: [TensorTie] = []
  /// Whether these share the bytes of the others; only where the format has aliases.
  package var areTiesKept = false
  /// Whether the metadata state the SHA-256 of the source, which must then be read as a whole.
  package var isHashingSource = true
  /// More strings of the result's metadata.
  package var additionalMetadata: [String: String] = [:]
  /// Whether files are replaced that no conversion wrote.
  package var isReplacingOthers = true
  /// Files that appear beside the result.
  package var companions: [CompanionFile] = []
  /// The tensors of the source that are kept as they are beside the result, each with the results made of
  /// it: see `ExactOriginals.rounded(by:isExact:)`.
  package var rounded: [String: [String]] = [:]

  /// Prepares a conversion.
  ///
  /// - Parameters:
  ///   - checkpoint: What is read.
  ///   - sourceFiles: The files behind it: they are hashed, and never written over.
  ///   - plan: What is done; made for this checkpoint.
  ///   - toolVersion: The version of the program, for the result's metadata.
  package init(
    of checkpoint: any CheckpointReader,
    sourceFiles: [String],
    plan: ConversionPlan,
    toolVersion: String
  ) {
    (self.checkpoint, self.sourceFiles, self.plan) = (checkpoint, sourceFiles, plan)
    self.toolVersion = toolVersion
  }

  /// The strings of the result's `__metadata__`, for a source with this hash.
  ///
  /// Strings that the source carries itself are kept, unless they are an earlier conversion's.
  func metadata(_ strings: [String: String], sourceHash: String) -> [String: String] {
    var metadata = strings
    // What Hugging Face's loaders ask for: tensors in PyTorch's layout. A file that says otherwise of
    // the layout that it has keeps its word.
    metadata["format"] = plan.isChange ? "pt" : metadata["format"] ?? "pt"
    metadata["tessera.version"] = toolVersion
    metadata["tessera.recipe"] = plan.recipe
    if plan.layout != nil || plan.isChange { metadata["tessera.layout"] = plan.layout }
    metadata["tessera.source.sha256"] = isHashingSource ? sourceHash : nil
    metadata["tessera.source.format"] = checkpoint.format
    let names = sourceFiles.map { ($0 as NSString).lastPathComponent }
    metadata["tessera.source"] = names.count == 1 ? names[0] : "\(names.count) files"
    if !plan.dropped.isEmpty {
      metadata["tessera.dropped"] = plan.dropped.map(\.name).joined(separator: "\n")
    }
    if !ties.isEmpty {
      let lines = ties.map { "\($0.name) = \($0.original)" }
      metadata["tessera.tied"] = lines.joined(separator: "\n")
    }
    if let configuration = plan.configuration { metadata["tessera.config"] = configuration }
    // Originals that an earlier conversion kept are not beside this result.
    metadata[ExactOriginals.linkKey] = nil
    return metadata.merging(additionalMetadata) { _, new in new }
  }

  /// Writes the result.
  ///
  /// Files appear together, the index last, once all of them are complete.
  ///
  /// - Parameters:
  ///   - path: The file; with several shards, the name from which theirs are made.
  ///   - format: Its format.
  ///   - shardByteLimit: The most data in a file; nil makes one file. Only safetensors has shards.
  ///   - quantized: The names of the results that a GGUF file stores as Q8_0.
  ///   - progress: Is told how many bytes of data have been written.
  /// - Returns: The paths of the files.
  /// - Throws: The reader's errors, `TesseraError`.
  @concurrent package func write(
    to path: String,
    format: CheckpointFormat = .safetensors,
    shardByteLimit: Int? = nil,
    quantized: Set<String> = [],
    progress: @Sendable (Int) -> Void = { _ in }
  ) async throws -> ConvertedFiles {
    let sharding = SafetensorsSharding(tensors(in: format), byteLimit: shardByteLimit)
    let files = ConvertedFiles(of: self, sharding, under: path)
    // Before the work, and again once no other run can make this output.
    _ = try obsolete(besides: files, path, format)
    for folder in files.folders { try AtomicFile.removeAbandoned(in: folder) }
    var conversion = self
    if files.originals != nil {
      conversion.additionalMetadata.merge(ExactOriginals.link(from: files.result)) { $1 }
    }
    let filling = CheckpointFilling(conversion, format, quantized)
    let claim = OlderOutput(of: path, format: format).claim
    var index: AtomicFile?
    if let path = files.index {
      // It stands for all of them: another run to the same name is refused from the start.
      index = try AtomicFile(path: path, reading: sourceFiles, claiming: claim)
    }
    let originals = try files.originals.map { path in
      try OriginalsFile(rounded, of: checkpoint, at: path, toolVersion: toolVersion)
    }
    var set = AtomicFileSet()
    let last: AtomicFile
    if var file = index.take() {
      try await conversion.add(sharding, under: path, filling, to: &set, progress)
      try file.write(Array(sharding.index(under: path).utf8))
      last = file
    } else {
      let tensors = sharding.shards[0]
      last = try await conversion.file(of: tensors, at: path, claiming: claim, filling, progress)
    }
    try addCompanions(besides: path, to: &set)
    if let originals { try set.add(originals.finished(hashes: filling.hashes)) }
    let obsolete = try obsolete(besides: files, path, format)
    try set.commit(with: last, replacing: obsolete)
    Interruption.explain { "'\(files.result)' is complete" }
    return files
  }

  /// Makes sure that the files may be written.
  ///
  /// - Returns: What is left of older results of this name, which the new one replaces.
  private func obsolete(
    besides files: ConvertedFiles,
    _ path: String,
    _ format: CheckpointFormat
  ) throws -> [String] {
    let obsolete = try OlderOutput(of: path, format: format).files(besides: files.all)
    for file in files.all + obsolete { try AtomicFile.checkTarget(file, inputs: sourceFiles) }
    guard !isReplacingOthers else { return obsolete }
    let own = files.weights + [files.index].compactMap(\.self) + obsolete
    try ReplacedOutput.check(own, companions: files.companions)
    if let originals = files.originals { try ReplacedOutput.check(originals) }
    return obsolete
  }

  /// One file with everything in it, for a set that appears together.
  package func file(
    of tensors: [TensorInfo],
    at path: String,
    claiming claim: String? = nil,
    _ filling: CheckpointFilling,
    _ progress: (Int) -> Void
  ) async throws -> AtomicFile {
    // One core hashes the source while another copies; the header waits for the hash.
    async let sourceHash = SourceHash.sha256(of: isHashingSource ? sourceFiles : [])
    let file = try filling.file(of: tensors, at: path, claiming: claim, progress)
    let final = metadata(filling.kept.strings, sourceHash: try await sourceHash)
    return try file.finished(metadata: final)
  }

  /// Writes the shards.
  private func add(
    _ sharding: SafetensorsSharding,
    under path: String,
    _ filling: CheckpointFilling,
    to set: inout AtomicFileSet,
    _ progress: (Int) -> Void
  ) async throws {
    async let sourceHash = SourceHash.sha256(of: isHashingSource ? sourceFiles : [])
    var open: [OpenShard] = []
    var finished = 0
    for (number, tensors) in sharding.shards.enumerated() {
      let file = sharding.path(of: number, under: path)
      open.append(OpenShard(try filling.file(of: tensors, at: file, progress)))
      guard open.count - finished == OpenShard.most else { continue }
      let final = metadata(filling.kept.strings, sourceHash: try await sourceHash)
      try set.add(open[finished].finished(metadata: final))
      finished += 1
    }
    for shard in open[finished...] {
      let final = metadata(filling.kept.strings, sourceHash: try await sourceHash)
      try set.add(shard.finished(metadata: final))
    }
  }

  private func addCompanions(besides path: String, to set: inout AtomicFileSet) throws {
    for companion in companions {
      let path = AtomicFile.sibling(companion.name, of: path)
      if let slash = path.lastIndex(of: "/") { try OutputFolder.make(String(path[..<slash])) }
      var file = try AtomicFile(path: path, reading: sourceFiles)
      try companion.write(to: &file)
      try set.add(file)
    }
  }
}

/// The hash of a checkpoint's files.
enum SourceHash {
  /// Text as long as a hash.
  static let placeholder = String(repeating: "0", count: 64)

  /// The SHA-256 of one file; of several, that of their hashes in order, a line each.
  @concurrent static func sha256(of files: [String]) async throws -> String {
    try FileDigest.sha256(ofAll: files)
  }
}
