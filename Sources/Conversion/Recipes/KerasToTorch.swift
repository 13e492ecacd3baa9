public import Readers
import Tensors

/// The recipe from Keras layers to the PyTorch modules that compute the same.
///
/// Names: the layer's path with dots, then the module's own parameter names. Layouts: Keras keeps
/// kernels as [spatial…, in, out], PyTorch as [out, in, spatial…]; the outputs of both were
/// compared
/// for each kind of layer (Tests/Oracles/test_convert.py).
public struct KerasToTorch: Sendable {
  /// The recipe's name and version.
  public static let name = "keras-torch/1"

  /// Makes the rules for a model.
  ///
  /// - Parameter model: The layers with their variables.
  /// - Returns: Rules for every variable.
  /// - Throws: `PlanError` where a layer has no PyTorch module that computes the same.
  public static func rules(for model: KerasModel) throws -> ConversionRules {
    var rules = ConversionRules(recipe: name)
    for layer in model.layers {
      let mapped = try KerasLayerRules(layer)
      rules.rules += mapped.rules
      rules.implied += mapped.implied
    }
    rules.dropped = model.dropped.map {
      DroppedTensor(name: $0.tensor.name, reason: $0.reason.rawValue)
    }
    rules.configuration = KerasSettings.json(of: model)
    rules.notes = KerasSettings.notes(about: model)
    return rules
  }
}
