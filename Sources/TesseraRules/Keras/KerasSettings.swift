import TesseraCheckpoints
import TesseraCore

/// Settings of Keras layers that no tensor shows, for the result's metadata and for the user.
enum KerasSettings {
  /// The settings that change what a layer computes.
  private static let keys = [
    "activation", "axis", "data_format", "dilation_rate", "epsilon", "go_backwards", "groups",
    "key_dim", "momentum", "negative_slope", "num_heads", "output_padding", "padding",
    "recurrent_activation", "reset_after", "shared_axes", "strides", "use_bias", "value_dim",
  ]

  /// The settings of all layers as JSON, by module name; nil where the file states none.
  static func json(of model: KerasModel) -> String? {
    var layers: [String: JSONValue] = [:]
    for layer in model.layers where !layer.configuration.isEmpty {
      var values: [String: JSONValue] = ["class": .string(layer.className)]
      for key in keys {
        guard let value = layer.configuration.values[key], value != .null else { continue }
        values[key] = value
      }
      layers[KerasLayerRules.moduleName(of: layer)] = .object(values)
    }
    guard !layers.isEmpty, let line = try? CanonicalJSON.line(JSONValue.object(layers)) else {
      return nil
    }
    return String(decoding: line.dropLast(), as: UTF8.self)
  }

  /// What differs from PyTorch's defaults, a sentence a kind.
  static func notes(about model: KerasModel) -> [String] {
    var counts: [String: Int] = [:]
    for layer in model.layers {
      if let note = note(about: layer) { counts[note, default: 0] += 1 }
    }
    return counts.sorted { $0.key < $1.key }.map { note, count in
      count == 1 ? note : "\(note) (\(count) layers)"
    }
  }

  private static func note(about layer: KerasLayer) -> String? {
    let configuration = layer.configuration
    switch layer.className {
    case "BatchNormalization":
      guard let epsilon = configuration.number("epsilon") else {
        return
          "BatchNormalization: the file states no epsilon; Keras' default is 0.001, PyTorch's 1e-05"
      }
      let momentum = configuration.number("momentum") ?? 0.99
      // PyTorch weighs the new value, Keras the old one.
      let weight = ((1 - momentum) * 1e12).rounded() / 1e12
      return "BatchNormalization: set eps=\(epsilon), momentum=\(weight)"
    case "LayerNormalization", "GroupNormalization", "RMSNormalization":
      guard let epsilon = configuration.number("epsilon") else {
        return
          "\(layer.className): the file states no epsilon; Keras' default differs from PyTorch's"
      }
      return "\(layer.className): set eps=\(epsilon)"
    default:
      guard configuration.text("padding") == "causal" else { return nil }
      return "\(layer.className): causal padding is k - 1 steps on the left"
    }
  }
}
