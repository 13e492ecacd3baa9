package import TesseraCheckpoints

/// A checkpoint with tensors of another one beside its own, as if it were one file.
///
/// What is added has names of its own, so that a plan can tell both apart.
package struct JoinedCheckpoint: CheckpointView {
  /// A tensor of another checkpoint under the name that it has here.
  struct Addition: TensorPlace {
    let name: String
    let tensor: TensorInfo
    let checkpoint: any CheckpointReader
    /// Is asked before the first elements are read.
    let check: @Sendable () throws -> Void

    init(
      name: String,
      tensor: TensorInfo,
      checkpoint: any CheckpointReader,
      check: @escaping @Sendable () throws -> Void = {}
    ) {
      (self.name, self.tensor, self.checkpoint, self.check) = (name, tensor, checkpoint, check)
    }

    package func read(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
      if elements.lowerBound == 0 { try check() }
      try unsafe checkpoint.read(elements, of: tensor, into: buffer)
    }

    /// What the joined checkpoint says of it.
    var info: TensorInfo {
      TensorInfo(name: name, elementType: tensor.elementType, shape: tensor.shape)
    }
  }

  /// The tensors of the first checkpoint; added ones follow where they are listed.
  package let tensors: [TensorInfo]
  /// The files of both.
  package let files: [String]
  let base: any CheckpointReader
  private let additions: [String: Addition]

  /// Joins checkpoints.
  ///
  /// - Parameters:
  ///   - base: The first one, whose format and attributes the whole has.
  ///   - additions: What is added; the names differ from those of `base`.
  ///   - isListing: Whether `tensors` lists what is added. Otherwise only who knows a name reads it.
  init(_ base: any CheckpointReader, with additions: [Addition], isListing: Bool) {
    self.base = base
    self.additions = Dictionary(additions.map { ($0.name, $0) }) { first, _ in first }
    tensors = base.tensors + (isListing ? additions.map(\.info) : [])
    var files = base.files
    for file in additions.flatMap(\.checkpoint.files) where !files.contains(file) {
      files.append(file)
    }
    self.files = files
  }

  /// What is added under the tensor's name, or the first checkpoint's tensor.
  package func place(of tensor: TensorInfo) -> (any TensorPlace)? {
    guard let own = additions[tensor.name] else { return ReaderTensor(tensor, of: base) }
    return own
  }
}

extension JoinedCheckpoint: FileRunProviding {
  /// Where a tensor of the first checkpoint lies; what is added is checked and so passes through here.
  package func fileRun(of tensor: TensorInfo) -> FileRun? {
    guard additions[tensor.name] == nil, let providing = base as? any FileRunProviding else {
      return nil
    }
    return providing.fileRun(of: tensor)
  }
}
