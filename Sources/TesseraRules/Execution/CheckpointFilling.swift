import Crypto
package import TesseraCheckpoints
import TesseraCore

/// Makes and fills the files of one run.
package final class CheckpointFilling {
  private let conversion: CheckpointConversion
  private let format: CheckpointFormat
  /// What the source says beside its tensors.
  package let kept: MetadataTransfer
  private let outputs: [String: ConversionPlan.Output]
  private let buffers: TransferBuffers
  private var done = 0
  /// The results that were made of what is kept as it was, and their SHA-256 once they are written.
  private let hashed: Set<String>
  package private(set) var hashes: [String: String] = [:]

  package init(
    _ conversion: CheckpointConversion,
    _ format: CheckpointFormat,
    _ quantized: Set<String>
  ) {
    (self.conversion, self.format) = (conversion, format)
    let plan = conversion.plan
    kept = MetadataTransfer(
      from: conversion.checkpoint,
      plan,
      to: format,
      quantized: quantized
    )
    outputs = Dictionary(uniqueKeysWithValues: plan.outputs.map { ($0.tensor.name, $0) })
    buffers = TransferBuffers(reading: conversion.checkpoint)
    hashed = Set(conversion.rounded.values.joined())
  }

  /// A file with all its data, whose header waits for the hash of the source.
  package func file(
    of tensors: [TensorInfo],
    at path: String,
    claiming claim: String? = nil,
    _ progress: (Int) -> Void
  ) throws -> CheckpointFile {
    let layout = try format.layout(
      of: tensors,
      metadata: conversion.metadata(kept.strings, sourceHash: SourceHash.placeholder),
      gguf: kept.gguf,
      kerasNames: conversion.plan.kerasNames,
      attributes: conversion.attributes(of: tensors, in: format)
    )
    var file = try CheckpointFile(
      path: path,
      layout: layout,
      reading: conversion.sourceFiles,
      claiming: claim
    )
    try conversion.fill(&file, with: outputs, buffers) { count in
      done += count
      progress(done)
    }
    for index in file.entries.indices {
      let name = file.entries[index].tensor.name
      if hashed.contains(name) { hashes[name] = try sha256(of: index, in: file) }
    }
    return file
  }

  /// The SHA-256 of a tensor in a file that has no name yet, as `CheckpointReader.sha256(of:)` gives it later.
  private func sha256(of index: Int, in file: borrowing CheckpointFile) throws -> String {
    var hash = SHA256()
    try unsafe file.read(index) { unsafe hash.update(bufferPointer: $0) }
    return hash.finalize().hexadecimal
  }
}

extension CheckpointConversion {
  fileprivate func fill(
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

  /// What an HDF5 file takes over of another one's groups and attributes.
  fileprivate func attributes(
    of tensors: [TensorInfo],
    in format: CheckpointFormat
  ) -> HDF5AttributeCopy? {
    guard format == .hdf5 || format == .kerasWeights, !plan.isChange else { return nil }
    return (checkpoint as? any AttributeCopying)?.attributeCopy
  }

  /// The tensors of the result; where the format has aliases, ties are such.
  package func tensors(in format: CheckpointFormat) -> [TensorInfo] {
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
final class OpenShard {
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
