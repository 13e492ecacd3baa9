public import TesseraCheckpoints

/// What comes out of a conversion: a format, a layout, or both where a name stands for both.
public struct ConversionTarget: Sendable, Hashable, ExpressibleByStringLiteral {
  /// The name of a format (``format``), `torch`, `keras`, or a layout of a recipe, such as `hf`.
  public let name: String

  /// Names a format or layout.
  public init(_ name: String) { self.name = name }

  /// Names a format or layout.
  public init(stringLiteral name: String) { self.name = name }

  /// The format that is named; nil for a layout.
  public var format: CheckpointFormat? { CheckpointFormat(rawValue: name) }

  /// Whether Keras layers become PyTorch modules.
  public var isTorch: Bool { name == "torch" }
  /// Whether PyTorch modules become Keras layers.
  public var isKeras: Bool { name == "keras" }

  /// The layout's name without its family.
  var layout: String { name.split(separator: ".").last.map(String.init) ?? name }

  /// What is wrong with the name; nil for that of a format or layout.
  ///
  /// - Throws: `TesseraError` where the recipes cannot be read.
  public var fault: String? {
    get throws {
      guard format == nil, !isTorch, !isKeras else { return nil }
      let layouts = try RecipeCatalog().layouts
      guard !layouts.contains(layout) else { return nil }
      let formats = CheckpointFormat.allCases.map(\.rawValue).joined(separator: ", ")
      return "--to \(name): no format (\(formats)) and no layout (torch, keras, "
        + "\(layouts.sorted().joined(separator: ", ")))."
    }
  }
}
