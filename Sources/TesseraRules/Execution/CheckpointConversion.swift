import Foundation
public import TesseraCheckpoints
import TesseraCore

/// A plan carried out: from an open checkpoint to the files of another, a tile at a time.
public struct CheckpointConversion: Sendable {
  /// What is read.
  public let checkpoint: any CheckpointReader
  /// The files behind it.
  public let sourceFiles: [String]
  /// What is done.
  public let plan: ConversionPlan
  /// The version of the program, for the result's metadata.
  public let toolVersion: String
  /// The results that repeat others, or did before they were dropped: recorded in the metadata.
  public var ties: [TensorTie] = []
  /// Whether these share the bytes of the others; only where the format has aliases.
  public var areTiesKept = false
  /// Whether the metadata state the SHA-256 of the source, which must then be read as a whole.
  public var isHashingSource = true
  /// More strings of the result's metadata.
  public var additionalMetadata: [String: String] = [:]
  /// Whether files are replaced that no conversion wrote.
  public var isReplacingOthers = true
  /// Files that appear beside the result.
  public var companions: [CompanionFile] = []

  /// Prepares a conversion.
  ///
  /// - Parameters:
  ///   - checkpoint: What is read.
  ///   - sourceFiles: The files behind it: they are hashed, and never written over.
  ///   - plan: What is done; made for this checkpoint.
  ///   - toolVersion: The version of the program, for the result's metadata.
  public init(
    of checkpoint: any CheckpointReader,
    sourceFiles: [String],
    plan: ConversionPlan,
    toolVersion: String
  ) {
    self.checkpoint = checkpoint
    self.sourceFiles = sourceFiles
    self.plan = plan
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
  /// - Throws: The reader's errors, `FileError`, `SameFileError`, `CheckpointWriterError`,
  ///   `ReplacementError`.
  @concurrent public func write(
    to path: String,
    format: CheckpointFormat = .safetensors,
    shardByteLimit: Int? = nil,
    quantized: Set<String> = [],
    progress: @Sendable (Int) -> Void = { _ in }
  ) async throws -> [String] {
    let sharding = SafetensorsSharding(tensors(in: format), byteLimit: shardByteLimit)
    let indexPath = sharding.indexPath(under: path)
    let files = sharding.shards.indices.map { sharding.path(of: $0, under: path) }
    let beside = companionPaths(besides: path)
    let all = files + (indexPath.map { [$0] } ?? []) + beside
    let obsolete = try OlderOutput(of: path, format: format).files(besides: all)
    for file in all { try AtomicFile.checkTarget(file, inputs: sourceFiles) }
    if !isReplacingOthers {
      let own = files + [indexPath].compactMap { $0 } + obsolete
      try ReplacedOutput.check(own, companions: beside)
    }
    let filling = Filling(self, format, quantized)
    if let indexPath {
      try await write(sharding, under: path, indexPath, filling, obsolete, progress)
    } else {
      try await write(sharding.shards[0], to: path, filling, obsolete, progress)
    }
    Interruption.explain { "'\(indexPath ?? path)' is complete" }
    return all
  }

  /// Writes one file and what stands beside it; the file appears last.
  private func write(
    _ tensors: [TensorInfo],
    to path: String,
    _ filling: Filling,
    _ obsolete: [String],
    _ progress: (Int) -> Void
  ) async throws {
    // One core hashes the source while another copies; the header waits for the hash.
    async let sourceHash = SourceHash.sha256(of: isHashingSource ? sourceFiles : [])
    var set = AtomicFileSet()
    let file = try filling.file(of: tensors, at: path, progress)
    try addCompanions(besides: path, to: &set)
    let final = metadata(filling.kept.strings, sourceHash: try await sourceHash)
    let finished = try file.finished(metadata: final)
    try set.commit(with: finished, replacing: obsolete)
  }

  /// Writes several shards and what stands beside them; their index appears last.
  private func write(
    _ sharding: SafetensorsSharding,
    under path: String,
    _ indexPath: String,
    _ filling: Filling,
    _ obsolete: [String],
    _ progress: (Int) -> Void
  ) async throws {
    // The index stands for all of them: another run to the same name is refused from the start.
    var index = try AtomicFile(path: indexPath, reading: sourceFiles)
    async let sourceHash = SourceHash.sha256(of: isHashingSource ? sourceFiles : [])
    var set = AtomicFileSet()
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
    try addCompanions(besides: path, to: &set)
    try index.write(Array(sharding.index(under: path).utf8))
    try set.commit(with: index, replacing: obsolete)
  }

  /// Makes and fills the files of one run.
  private final class Filling {
    private let conversion: CheckpointConversion
    private let format: CheckpointFormat
    /// What the source says beside its tensors.
    let kept: MetadataTransfer
    private let outputs: [String: ConversionPlan.Output]
    private let buffers: TransferBuffers
    private var done = 0

    init(
      _ conversion: CheckpointConversion,
      _ format: CheckpointFormat,
      _ quantized: Set<String>
    ) {
      self.conversion = conversion
      self.format = format
      let plan = conversion.plan
      kept = MetadataTransfer(
        from: conversion.checkpoint,
        plan,
        to: format,
        quantized: quantized
      )
      outputs = Dictionary(uniqueKeysWithValues: plan.outputs.map { ($0.tensor.name, $0) })
      buffers = TransferBuffers(reading: conversion.checkpoint)
    }

    /// A file with all its data, whose header waits for the hash of the source.
    func file(
      of tensors: [TensorInfo],
      at path: String,
      _ progress: (Int) -> Void
    ) throws -> CheckpointFile {
      let layout = try format.layout(
        of: tensors,
        metadata: conversion.metadata(kept.strings, sourceHash: SourceHash.placeholder),
        gguf: kept.gguf,
        kerasNames: conversion.plan.kerasNames,
        attributes: conversion.attributes(of: tensors, in: format)
      )
      var file = try CheckpointFile(path: path, layout: layout, reading: conversion.sourceFiles)
      try conversion.fill(&file, with: outputs, buffers) { count in
        done += count
        progress(done)
      }
      return file
    }
  }

  private func fill(
    _ shard: inout CheckpointFile,
    with outputs: [String: ConversionPlan.Output],
    _ buffers: borrowing TransferBuffers,
    _ progress: (Int) -> Void
  ) throws {
    for index in shard.entries.indices {
      let tensor = shard.entries[index].tensor
      guard let output = outputs[tensor.name], tensor.aliasOf == nil else { continue }
      try fill(index, of: &shard, with: output, buffers, progress)
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

  private func companionPaths(besides path: String) -> [String] {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    return companions.map { folder + $0.name }
  }

  /// What an HDF5 file takes over of another one's groups and attributes.
  private func attributes(
    of tensors: [TensorInfo],
    in format: CheckpointFormat
  ) -> HDF5AttributeCopy? {
    guard format == .hdf5 || format == .kerasWeights, !plan.isChange else { return nil }
    return (checkpoint as? any AttributeCopying)?.attributeCopy
  }

  /// The tensors of the result; where the format has aliases, ties are such.
  private func tensors(in format: CheckpointFormat) -> [TensorInfo] {
    let isKeeping = areTiesKept && format.holdsAliases
    let originals = isKeeping ? Dictionary(ties.map { ($0.name, $0.original) }) { $1 } : [:]
    return plan.outputs.map { output in
      TensorInfo(
        name: output.tensor.name,
        elementType: output.tensor.elementType,
        shape: output.tensor.shape,
        aliasOf: originals[output.tensor.name]
      )
    }
  }

  private func fill(
    _ index: Int,
    of file: inout CheckpointFile,
    with output: ConversionPlan.Output,
    _ buffers: borrowing TransferBuffers,
    _ progress: (Int) -> Void
  ) throws {
    switch output.content {
    case .constant(let value):
      let type = output.tensor.elementType
      let count = output.tensor.shape.elementCount ?? 0
      try unsafe buffers.fill(value.bytes(as: type), count: count) { bytes, offset in
        try unsafe file.write(bytes, at: offset, of: index)
      }
      progress(output.byteCount)
    case .expression(let expression):
      let encoding = file.entries[index].encoding
      if encoding != .plain, output.streaming != .bytes || expression.cutsBlocks(of: encoding) {
        return try fillWhole(index, of: &file, with: expression, buffers, progress)
      }
      if try copyDirectly(expression, to: index, of: &file, progress) { return }
      try unsafe buffers.perform(expression) { bytes, offset in
        try unsafe file.write(bytes, at: offset, of: index)
        progress(bytes.count)
      }
    }
  }
}

extension CheckpointConversion {
  /// Puts a tensor together in memory: tiles do not come in whole blocks.
  private func fillWhole(
    _ index: Int,
    of file: inout CheckpointFile,
    with expression: TensorExpression,
    _ buffers: borrowing TransferBuffers,
    _ progress: (Int) -> Void
  ) throws {
    let whole = try buffers.whole(expression, progress)
    try unsafe whole.withUnsafeBytes { bytes in
      // Blocks of 32 floats: a piece is a whole number of them.
      for start in stride(from: 0, to: bytes.count, by: TransferBuffers.pieceSize) {
        let end = min(start + TransferBuffers.pieceSize, bytes.count)
        let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<end])
        try unsafe file.write(piece, at: start, of: index)
      }
    }
  }
}

extension TensorExpression {
  /// Whether a part begins inside of a block of the encoding.
  func cutsBlocks(of encoding: CheckpointEncoding) -> Bool {
    TensorTransfer.all(of: self).contains { part in
      encoding.byteCount(elements: part.outputOffset, of: elementType) == nil
    }
  }
}

/// A file with all its data, whose header waits.
private final class OpenShard {
  /// How many are open at a time: far fewer than any system's limit of open files.
  static let most = 64

  private var file: CheckpointFile?

  init(_ file: consuming CheckpointFile) { self.file = consume file }

  /// Completes the file, once.
  func finished(metadata: [String: String]) throws -> AtomicFile {
    guard let file = file.take() else { preconditionFailure("a shard is finished once") }
    return try file.finished(metadata: metadata)
  }
}

/// The hash of a checkpoint's files.
private enum SourceHash {
  /// Text as long as a hash.
  static let placeholder = String(repeating: "0", count: 64)

  /// The SHA-256 of one file; of several, that of their hashes in order, a line each.
  @concurrent static func sha256(of files: [String]) async throws -> String {
    try FileDigest.sha256(ofAll: files)
  }
}
