package import TesseraCheckpoints
import TesseraCore

/// A conversion that is planned in all its parts.
package struct PreparedConversion: Sendable {
  /// What is read.
  package let source: SourceCheckpoint
  /// What is done.
  package let plan: ConversionPlan
  /// The format that is written.
  package let format: CheckpointFormat
  /// The results that repeat others, or did before they were dropped.
  package let ties: [TensorTie]
  /// Whether these have no bytes of their own.
  package let areTiesKept: Bool
  /// The results that are stored as blocks.
  private let quantized: Set<String>
  private let request: ConversionRequest

  /// Opens a checkpoint and plans selection, layout, types and ties, in this order.
  ///
  /// - Parameters:
  ///   - path: A file of any format, a shard index, or a folder that holds one.
  ///   - output: The file or folder that is to be written; nil for a plan alone.
  ///   - request: What is to be done.
  ///   - compute: Makes other weights of those that were selected, such as with an adapter merged.
  /// - Throws: `TesseraError` where the parts of the request do not go together or do not fit the checkpoint, and
  ///   the errors of ``SourceCheckpoint``.
  package init(
    of path: String,
    to output: String?,
    _ request: ConversionRequest,
    computing compute: (any CheckpointReader) throws -> any CheckpointReader = { $0 }
  ) throws {
    if let fault = try request.fault(writing: output) {
      throw TesseraError.mismatch(fault, file: output ?? path)
    }
    var source = try SourceCheckpoint(
      path: path,
      opaqueAs: request.opaqueType,
      selecting: request.selection,
      computing: compute
    )
    let selected = source.restoring(try source.plan(request))
    let (cast, quantized) =
      try request.precision?.applied(to: selected, keeping: request.keptFloat32) ?? (selected, [])
    let typed = source.restoring(cast)
    try source.quantized.check(typed, blocks: quantized)
    ties = typed.ties(in: source.checkpoint)
    format = request.format(of: output)
    let isDropping = request.ties == .drop
    areTiesKept = format.holdsAliases && (request.ties ?? .keep) == .keep
    let whole = isDropping ? typed.dropping(ties) : typed
    let kept = MetadataTransfer(from: source.checkpoint, whole, to: format, quantized: quantized)
    let architecture = try kept.architectureNote(
      of: source.modelType,
      whole.tensors,
      place: path,
      RecipeCatalog()
    )
    let folder = try source.folder(besides: output)
    plan = whole.noting(folder?.note(writing: output)).noting(kept.note).noting(architecture)
    (self.source, self.quantized, self.request) = (source, quantized, request)
  }

  /// How a result is stored.
  package func encoding(of output: ConversionPlan.Output) -> CheckpointEncoding {
    quantized.contains(output.tensor.name) ? .q8_0 : .plain
  }

  /// The bytes that a result takes in the file.
  package func byteCount(of output: ConversionPlan.Output) -> Int {
    let tensor = output.tensor
    if areTiesKept, ties.contains(where: { $0.name == tensor.name }) { return 0 }
    return encoding(of: output).byteCount(
      elements: tensor.shape.elementCount ?? 0,
      of: tensor.elementType
    ) ?? 0
  }

  /// The bytes of all results.
  package var byteCount: Int { plan.outputs.reduce(0) { $0 + byteCount(of: $1) } }

  /// What it takes to get a result's sources back.
  package func reversibility(of output: ConversionPlan.Output) -> Reversibility {
    encoding(of: output) == .plain ? output.reversibility : .oneWay
  }

  /// The peak of the program's memory, in bytes, as far as it can be estimated.
  package var peakBytes: Int {
    MemoryForecast(plan, reading: source.checkpoint, quantized: quantized).peakBytes
  }
}

/// What a conversion has written.
package struct WrittenConversion: Sendable {
  /// The files.
  package let files: ConvertedFiles
  /// What stands beside the weights.
  package let companions: [CompanionFile]
}

extension PreparedConversion {
  /// Writes the result: all files appear together, once they are complete.
  ///
  /// - Parameters:
  ///   - output: The file or folder, which ``init(of:to:_:computing:)`` was told.
  ///   - more: Makes files that appear beside the result, whose path it is given.
  ///   - progress: Is told how many bytes of data have been written.
  /// - Returns: What was written.
  /// - Throws: As ``CheckpointConversion/write(to:format:shardByteLimit:quantized:progress:)``.
  package func write(
    to output: String,
    adding more: (String) throws -> [CompanionFile] = { _ in [] },
    progress: @Sendable (Int) -> Void = { _ in }
  ) async throws -> WrittenConversion {
    let path = try filePath(in: output)
    var conversion = CheckpointConversion(
      of: source.checkpoint,
      sourceFiles: source.files,
      plan: plan,
      toolVersion: ToolVersion.current
    )
    conversion.ties = ties
    conversion.areTiesKept = areTiesKept
    conversion.isHashingSource = request.isHashingSource
    conversion.isReplacingOthers = request.isReplacingOthers
    conversion.companions = try companions(in: output)
    Interruption.explain { "nothing of '\(output)' is written; run the same command again" }
    conversion.companions += try more(path)
    if request.keepsExact {
      conversion.rounded = ExactOriginals.rounded(by: plan) { reversibility(of: $0) == .exact }
    }
    let files = try await conversion.write(
      to: path,
      format: format,
      shardByteLimit: request.shardByteLimit,
      quantized: quantized,
      progress: progress
    )
    return WrittenConversion(files: files, companions: conversion.companions)
  }

  /// What comes along into an output that is a folder too.
  private func companions(in output: String) throws -> [CompanionFile] {
    // Beside a single file, another model's settings may stand already.
    guard ConversionRequest.isFolder(output) else { return [] }
    var files = try source.folder(besides: output)?.companions ?? []
    if let type = request.precision { files = try files.map { try $0.statingType(type.torchName) } }
    let made = plan.companions.sorted { $0.key < $1.key }
    return files.filter { plan.companions[$0.name] == nil }
      + made.map { CompanionFile(name: $0.key, content: .text($0.value)) }
  }

  /// The file to write; a folder that is named with a slash is made.
  private func filePath(in output: String) throws -> String {
    guard ConversionRequest.isFolder(output) else { return output }
    try OutputFolder.refuseDataset(around: output)
    try OutputFolder.make(output)
    return (output.hasSuffix("/") ? output : "\(output)/") + usualName
  }

  /// The name of the weights in a folder: the one that diffusers or peft looks for, where theirs are read.
  private var usualName: String {
    let stems = ["diffusion_pytorch_model", "adapter_model"]
    let names = source.files.map { AtomicFile.name(of: $0) }
    guard format == .safetensors,
      let stem = stems.first(where: { stem in names.contains { $0.hasPrefix(stem) } })
    else { return format.usualFileName }
    return "\(stem).safetensors"
  }
}

extension SourceCheckpoint {
  /// What a model's folder holds beside the weights; nil for a file.
  fileprivate func folder(besides output: String?) throws -> ModelFolder? {
    guard Checkpoint.isFolder(path) else { return nil }
    return try ModelFolder(path, weights: files, output: output)
  }
}

extension ModelFolder {
  /// What does not come along, by name.
  fileprivate func note(writing output: String?) -> String? {
    if output.map(ConversionRequest.isFolder) ?? true { return note }
    let carried = ModelFolder.list(companions.map(\.name)).map {
      "of the folder, the weights alone are in the file; an output that is a folder takes along what "
        + "belongs to the model: \($0)"
    }
    let notes = [carried, note].compactMap(\.self)
    return notes.isEmpty ? nil : notes.joined(separator: "; ")
  }
}
