public import TesseraCore

/// The layers of a Keras model with their variables, whatever the file's layout.
///
/// Layouts: legacy `.h5` of Keras 1.2 to 3 (whole models and weights only), `.weights.h5` and `.keras`
/// of Keras 3. Every tensor of the file is a variable of one layer here, or dropped with a reason.
public struct KerasModel: Sendable, Hashable {
  /// The layers that have variables, in the model's order; nested ones stand where their model does.
  public let layers: [KerasLayer]
  /// Tensors that are no weights, such as the optimizer's.
  public let dropped: [DroppedVariable]
  /// The model's description as the file has it; nil for weights alone.
  package let architecture: JSONValue?

  /// Finds the layers of a checkpoint.
  ///
  /// - Throws: `TesseraError` where the file has no Keras layout, or where a tensor cannot be placed.
  public init(reading checkpoint: HDF5Checkpoint) throws(TesseraError) {
    let description = try KerasDescription.model(of: checkpoint)
    let found: KerasContents
    switch checkpoint.format {
    case "keras-h5": found = try KerasNamedLayout(checkpoint, description).contents()
    case "keras", "keras-weights-h5":
      found = try KerasNumberedLayout(checkpoint, description).contents()
    default:
      let cause = "no Keras file: neither layer_names nor groups of numbered variables"
      throw TesseraError.mismatch(cause, file: checkpoint.fileName)
    }
    let placed = Set(found.layers.flatMap { $0.variables.map(\.tensor.name) })
    let dropped = Set(found.dropped.map(\.tensor.name))
    if let lost = checkpoint.tensors.first(where: {
      !placed.contains($0.name) && !dropped.contains($0.name)
    }) {
      let cause = "a tensor that belongs to no layer of the model"
      throw TesseraError.mismatch(cause, file: checkpoint.fileName, place: lost.name)
    }
    layers = found.layers
    architecture = checkpoint.modelConfiguration.flatMap { try? JSONValue(parsing: $0) }
    self.dropped = found.dropped
  }
}

/// One layer with variables of its own.
public struct KerasLayer: Sendable, Hashable {
  /// The layer's name after those of the models around it: `["encoder", "dense_1"]`.
  ///
  /// The two halves of a Bidirectional layer end in `forward_layer` and `backward_layer`; other
  /// wrappers (TimeDistributed) leave no trace but in `wrappers`.
  public let path: [String]
  /// The class, such as `Conv2D`; empty where the file does not tell and nothing is guessed.
  public let className: String
  /// The classes of the wrappers around the layer, outermost first: `["Bidirectional"]`.
  public let wrappers: [String]
  /// What the model's description says of the layer; empty where there is none.
  public let configuration: KerasConfiguration
  /// The variables in Keras' order; each role occurs once.
  public let variables: [KerasVariable]

  /// The variable of a role.
  public subscript(role: String) -> TensorInfo? { variables.first { $0.role == role }?.tensor }
}

/// A variable of a layer.
public struct KerasVariable: Sendable, Hashable {
  /// What it is to its layer: Keras' own name without path and `:0`.
  ///
  /// `kernel`, `recurrent_kernel`, `bias`, `gamma`, `beta`, `moving_mean`, `moving_variance`,
  /// `embeddings`, `depthwise_kernel`, `pointwise_kernel`, `alpha`, `scale` and so on.
  /// DepthwiseConv's is `kernel` (Keras 2 wrote `depthwise_kernel`). Attention has `query.kernel`,
  /// `query.bias`, `key.…`, `value.…`, `output.…`. In a layer of unknown class, Keras 3's number.
  public let role: String
  /// The tensor that holds it.
  public let tensor: TensorInfo
}

/// A tensor that is no weight of the model.
public struct DroppedVariable: Sendable, Hashable {
  /// Why it is no weight.
  public enum Reason: String, Sendable, Hashable {
    case optimizerState = "optimizer state"
    case randomState = "random state"
    case metricState = "metric state"
  }

  /// The tensor.
  public let tensor: TensorInfo
  /// Why it is no weight.
  public let reason: Reason
}

/// What a layout finds.
struct KerasContents {
  var layers: [KerasLayer] = []
  var dropped: [DroppedVariable] = []
}
