public import TesseraCore

/// What keeps a network from being built or run.
public enum NetworkError: ClassifiedError, Hashable {
  /// A parameter that the graph names is not in the checkpoint.
  case missingParameter(name: String, expected: Shape)
  /// The checkpoint holds a tensor that the graph does not use.
  case unusedParameter(name: String, shape: Shape)
  /// A parameter has another shape than the graph needs.
  case misshapenParameter(name: String, shape: Shape, expected: Shape)
  /// A parameter holds another number of values than its shape says.
  case wrongCount(name: String, count: Int, expected: Int)
  /// The layers of a graph do not fit together, or are beyond what the kernels compute.
  case invalidGraph(layer: String, reason: String)
  /// The checkpoint is not an autoencoder of the kind; `name` is the tensor that says so.
  case unrecognized(name: String, reason: String)
  /// A tensor is missing without which nothing says what the network is; the reason follows the name.
  case incomplete(name: String, reason: String)
  /// A tensor says otherwise than the network or the quantizer that is computed.
  case contradictory(name: String, reason: String)
  /// The checkpoint holds two networks of the kind, under these names.
  case ambiguous(name: String, other: String)
  /// The input's extents are not positive multiples of what the network divides them by, or too large.
  case extents(height: Int, width: Int, multiple: Int)
  /// The working memory would be larger than allowed.
  case memory(height: Int, width: Int, limit: Int)
  /// The input holds another number of values than height x width x channels.
  case inputCount(count: Int, expected: Int)

  /// One line that says what does not fit and what to do.
  public var description: String {
    switch self {
    case .missingParameter(let name, let expected):
      "\(name): missing from the weights; a tensor of shape \(expected) is expected"
    case .unusedParameter(let name, let shape):
      "\(name): a tensor of shape \(shape) that the network has no use for; "
        + "drop it, or name the family that it belongs to"
    case .misshapenParameter(let name, let shape, let expected):
      "\(name): shape \(shape), expected \(expected)"
    case .wrongCount(let name, let count, let expected):
      "\(name): \(count) values, expected \(expected)"
    case .invalidGraph(let layer, let reason):
      "\(layer): \(reason)"
    case .unrecognized(let name, let reason):
      "\(name): \(reason); the weights are not those of a convolutional autoencoder"
    case .incomplete(let name, let reason):
      "\(name): missing from the weights: \(reason)"
    case .contradictory(let name, let reason):
      "\(name): \(reason)"
    case .ambiguous(let name, let other):
      "\(name): a second network of the kind beside \(other); take one out with 'tessera convert --pick'"
    case .extents(let height, let width, let multiple):
      "the network takes extents of \(multiple) to \(NetworkGraph.largestExtent) that are multiples "
        + "of \(multiple), not \(height) x \(width): resize, crop or pad"
    case .memory(let height, let width, let limit):
      "\(height) x \(width) needs more than \(limit >> 20) MiB of working memory: use smaller images"
    case .inputCount(let count, let expected):
      "the input holds \(count) values, expected \(expected)"
    }
  }

  /// A mismatch, except for inputs that are too large.
  public var kind: FailureKind {
    if case .memory = self { .numericLimit } else { .mismatch }
  }
}
