package import TesseraCore

/// The layers of a Keras model with their variables, whatever the file's layout.
///
/// Layouts: legacy `.h5` of Keras 1.2 to 3 (whole models and weights only), `.weights.h5` and `.keras`
/// of Keras 3. Every tensor of the file is a variable of one layer here, or dropped with a reason.
package struct KerasModel: Sendable, Hashable {
  /// The layers that have variables, in the model's order; nested ones stand where their model does.
  package let layers: [KerasLayer]
  /// Tensors that are no weights, such as the optimizer's.
  package let dropped: [DroppedVariable]
  /// The model's description as the file has it; nil for weights alone.
  package let architecture: JSONValue?

  /// Finds the layers of a checkpoint.
  ///
  /// - Throws: `TesseraError` where the file has no Keras layout, or where a tensor cannot be placed.
  package init(reading checkpoint: HDF5Checkpoint) throws(TesseraError) {
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
package struct KerasLayer: Sendable, Hashable {
  /// The layer's name after those of the models around it: `["encoder", "dense_1"]`.
  ///
  /// The two halves of a Bidirectional layer end in `forward_layer` and `backward_layer`; other
  /// wrappers (TimeDistributed) leave no trace but in `wrappers`.
  package let path: [String]
  /// The class, such as `Conv2D`; empty where the file does not tell and nothing is guessed.
  package let className: String
  /// The classes of the wrappers around the layer, outermost first: `["Bidirectional"]`.
  package let wrappers: [String]
  /// What the model's description says of the layer; empty where there is none.
  package let configuration: KerasConfiguration
  /// The variables in Keras' order; each role occurs once.
  package let variables: [KerasVariable]

  /// The variable of a role.
  package subscript(role: String) -> TensorInfo? { variables.first { $0.role == role }?.tensor }
}

/// A variable of a layer.
package struct KerasVariable: Sendable, Hashable {
  /// What it is to its layer: Keras' own name without path and `:0`.
  ///
  /// `kernel`, `recurrent_kernel`, `bias`, `gamma`, `beta`, `moving_mean`, `moving_variance`,
  /// `embeddings`, `depthwise_kernel`, `pointwise_kernel`, `alpha`, `scale` and so on.
  /// DepthwiseConv's is `kernel` (Keras 2 wrote `depthwise_kernel`). Attention has `query.kernel`,
  /// `query.bias`, `key.…`, `value.…`, `output.…`. In a layer of unknown class, Keras 3's number.
  package let role: String
  /// The tensor that holds it.
  package let tensor: TensorInfo
}

/// A tensor that is no weight of the model.
package struct DroppedVariable: Sendable, Hashable {
  /// Why it is no weight.
  package enum Reason: String, Sendable, Hashable {
    case optimizerState = "optimizer state"
    case randomState = "random state"
    case metricState = "metric state"
  }

  /// The tensor.
  package let tensor: TensorInfo
  /// Why it is no weight.
  package let reason: Reason
}

/// What a layout finds.
struct KerasContents {
  var layers: [KerasLayer] = []
  var dropped: [DroppedVariable] = []
}
