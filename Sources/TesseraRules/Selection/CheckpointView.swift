import TesseraCheckpoints

/// A checkpoint that shows the tensors of another one otherwise; what it does not say itself, that one says.
protocol CheckpointView: PlacedCheckpoint {
  /// The other one.
  var base: any CheckpointReader { get }
}

extension CheckpointView {
  /// The base's format.
  public var format: String { base.format }
  /// The base's attributes.
  public var attributes: [String: String] { base.attributes }
  /// The base's notes.
  public var notes: [String] { base.notes }
  /// The base's refusals.
  public var refusals: [TensorRefusal] { base.refusals }
  /// The base's metadata.
  public var metadata: CheckpointMetadata { base.metadata }
  /// The base's files.
  public var files: [String] { base.files }
}
