public import TesseraCore

extension TesseraError {
  /// A parameter that the network needs and the weights do not have.
  public static func missingParameter(name: String, expected: Shape) -> TesseraError {
    parameter(
      name,
      "missing from the weights; a tensor of shape \(expected) is expected"
    )
  }

  /// A tensor that the network has no use for.
  public static func unusedParameter(name: String, shape: Shape) -> TesseraError {
    parameter(
      name,
      "a tensor of shape \(shape) that the network has no use for; drop it, or name the family that it "
        + "belongs to"
    )
  }

  /// A parameter of another shape than the network's.
  public static func misshapenParameter(
    name: String,
    shape: Shape,
    expected: Shape
  ) -> TesseraError {
    parameter(name, "shape \(shape), expected \(expected)")
  }

  /// A parameter with another number of values than its shape says.
  public static func wrongCount(name: String, count: Int, expected: Int) -> TesseraError {
    .mismatch("\(count) values, expected \(expected)", place: name)
  }

  /// A graph whose layers do not fit together.
  public static func invalidGraph(layer: String, reason: String) -> TesseraError {
    .mismatch(reason, place: layer)
  }

  /// Weights that are those of no network known here.
  public static func unrecognized(name: String, reason: String) -> TesseraError {
    parameter(name, "\(reason); the weights are not those of a convolutional autoencoder")
  }

  /// A level or a half of the network that the weights do not have.
  public static func incomplete(name: String, reason: String) -> TesseraError {
    parameter(name, "missing from the weights: \(reason)")
  }

  /// A tensor that contradicts the others.
  public static func contradictory(name: String, reason: String) -> TesseraError {
    parameter(name, reason)
  }

  /// A second network in one file.
  public static func ambiguous(name: String, other: String) -> TesseraError {
    .mismatch(
      "a second network of the kind beside \(other); take one out with 'tessera convert --pick'",
      place: name
    )
  }

  /// An image of a size that the network does not take.
  public static func extents(height: Int, width: Int, multiple: Int) -> TesseraError {
    .mismatch(
      "the network takes extents of \(multiple) to \(NetworkGraph.largestExtent) that are multiples "
        + "of \(multiple), not \(height) x \(width): resize, crop or pad"
    )
  }

  /// An image that needs more memory than the limit, in bytes.
  public static func memory(height: Int, width: Int, limit: Int) -> TesseraError {
    .limit(
      "\(height) x \(width) needs more than \(limit >> 20) MiB of working memory: use smaller images"
    )
  }

  /// An input with another number of values than its extents say.
  public static func inputCount(count: Int, expected: Int) -> TesseraError {
    .mismatch("the input holds \(count) values, expected \(expected)")
  }

  private static func parameter(_ name: String, _ cause: String) -> TesseraError {
    TesseraError(.mismatch, cause, place: name, detail: .parameter)
  }

  /// The same error with the tensor's name as the checkpoint has it.
  func renamed(_ name: (String) -> String) -> TesseraError {
    guard detail == .parameter else { return self }
    var error = self
    error.place = name(place)
    return error
  }
}
