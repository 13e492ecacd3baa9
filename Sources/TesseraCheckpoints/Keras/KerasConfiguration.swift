package import TesseraCore

/// What a model's description says of one layer: JSON kept as data, nothing of it is executed.
package struct KerasConfiguration: Sendable, Hashable {
  /// The values under the layer's `config`.
  package let values: [String: JSONValue]

  package init(_ values: [String: JSONValue]) { self.values = values }

  /// Whether there was a description at all; weights-only files have none.
  package var isEmpty: Bool { values.isEmpty }

  /// A truth value such as `use_bias`, `reset_after` or `causal`.
  package func bool(_ key: String) -> Bool? { values[key]?.bool }

  /// A number such as `epsilon` or `momentum`.
  package func number(_ key: String) -> Double? { values[key]?.number }

  /// A whole number such as `units`, `num_heads` or `groups`.
  package func integer(_ key: String) -> Int? { values[key]?.number.flatMap { Int(exactly: $0) } }

  /// A text such as `data_format`.
  package func text(_ key: String) -> String? { values[key]?.string }

  /// Whole numbers such as `kernel_size` or `strides`; a single number gives one element.
  package func integers(_ key: String) -> [Int]? {
    if let one = integer(key) { return [one] }
    guard let elements = values[key]?.array else { return nil }
    let numbers = elements.compactMap { $0.number.flatMap { Int(exactly: $0) } }
    return numbers.count == elements.count ? numbers : nil
  }
}

extension KerasConfiguration {
  /// The type of the variables of each top-level layer, where its policy names one and the same for
  /// all of its variables.
  static func dtypes(ofModel text: String) -> [String: String] {
    guard let model = try? JSONValue(parsing: text) else { return [:] }
    var dtypes: [String: String] = [:]
    for layer in layers(of: model) {
      guard let name = layer["config"]?["name"]?.string ?? layer["name"]?.string else { continue }
      let found = variableTypes(of: layer)
      if found.count == 1, let only = found.first { dtypes[name] = only }
    }
    return dtypes
  }

  /// The descriptions of a model's layers; Keras 2's first Sequential kept them as the whole config.
  package static func layers(of model: JSONValue) -> [JSONValue] {
    model["config"]?["layers"]?.array ?? model["config"]?.array ?? []
  }

  private static func variableTypes(of layer: JSONValue) -> Set<String> {
    let inner = layers(of: layer)
    if !inner.isEmpty { return inner.reduce(into: []) { $0.formUnion(variableTypes(of: $1)) } }
    let dtype = layer["config"]?["dtype"]
    // A mixed policy computes in a narrow type and keeps float32 variables.
    guard let name = dtype?.string ?? dtype?["config"]?["name"]?.string else { return [] }
    if layer["class_name"]?.string == "InputLayer" { return [] }
    return [name.hasPrefix("mixed_") ? "float32" : name]
  }
}
