package import TesseraCheckpoints

/// The recipe from Keras layers to the PyTorch modules that compute the same.
///
/// Names: the layer's path with dots, then the module's own parameter names. Layouts: Keras keeps
/// kernels as [spatial…, in, out], PyTorch as [out, in, spatial…]; the outputs of both were
/// compared
/// for each kind of layer (Tests/Oracles/test_convert.py). Where features are flattened, PyTorch's order is
/// that of channels first (Tests/Oracles/test_keras_order.py).
package struct KerasToTorch: Sendable {
  /// The recipe's name and version.
  package static let name = "keras-torch/1"

  /// Makes the rules for a model.
  ///
  /// - Parameter model: The layers with their variables.
  /// - Returns: Rules for every variable.
  /// - Throws: `TesseraError` where a layer has no PyTorch module that computes the same.
  package static func rules(for model: KerasModel) throws -> ConversionRules {
    var rules = ConversionRules(recipe: name)
    let flow = try KerasFlow(model)
    for layer in model.layers {
      let mapped = try KerasLayerRules(layer, input: flow.input(of: layer))
      rules.rules += mapped.rules
      rules.implied += mapped.implied
    }
    rules.dropped = model.dropped.map {
      DroppedTensor(name: $0.tensor.name, reason: $0.reason.rawValue)
    }
    rules.configuration = KerasSettings.json(of: model)
    rules.notes = flow.notes + KerasSettings.notes(about: model)
    return rules
  }
}
