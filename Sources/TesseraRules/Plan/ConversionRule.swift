package import TesseraCheckpoints
package import TesseraCore

/// Tensors of a checkpoint on one side, tensors of the result on the other, operations in between.
package struct ConversionRule: Sendable, Hashable {
  /// What is read, in the order in which the operations take them.
  package let sources: [TensorInfo]
  /// What is done, first to last.
  package let operations: [TensorOperation]
  /// The names of the results, in the order in which the operations give them.
  package let targets: [String]

  /// Creates a rule.
  package init(sources: [TensorInfo], operations: [TensorOperation] = [], targets: [String]) {
    (self.sources, self.operations, self.targets) = (sources, operations, targets)
  }

  /// Makes one tensor into one other.
  package init(_ source: TensorInfo, _ operations: [TensorOperation] = [], to target: String) {
    self.init(sources: [source], operations: operations, targets: [target])
  }
}

/// A tensor of the result that the source implies without storing it.
package struct ImpliedTensor: Sendable, Hashable {
  /// The value of every element.
  package enum Value: String, Sendable, Hashable {
    case zero = "0"
    case one = "1"
  }

  /// Name, type and shape in the result.
  package let tensor: TensorInfo
  /// The value of every element.
  package let value: Value
  /// Why the result needs it.
  package let reason: String
}

/// A tensor of the source that the result does not hold.
package struct DroppedTensor: Sendable, Hashable {
  /// Its name in the source.
  package let name: String
  /// Why it is left out.
  package let reason: String
}

/// A tensor of the result that repeats another one under its own name.
package struct TensorCopy: Sendable, Hashable {
  /// Its name.
  package let name: String
  /// The tensor of the result that it repeats.
  package let of: String
}

/// A tensor of the result whose values follow from the source's settings.
package struct StatedTensor: Sendable, Hashable {
  /// Its name.
  package let name: String
  /// Its values.
  package let tensor: Tensor
}

/// Rules for every tensor of one checkpoint: what a recipe gives for it.
package struct ConversionRules: Sendable {
  /// The recipe's name and version, as the result records it.
  package var recipe: String
  /// What becomes of the tensors that are kept.
  package var rules: [ConversionRule] = []
  /// What the result holds beside them.
  package var implied: [ImpliedTensor] = []
  /// What the result holds because the source's settings say it.
  package var stated: [StatedTensor] = []
  /// What is left out.
  package var dropped: [DroppedTensor] = []
  /// Tensors that the result holds under a second name.
  package var copies: [TensorCopy] = []
  /// The family and layout of the result, such as `mamba.hf`; nil where no recipe gives it.
  package var layout: String?
  /// What the user must know to use the result, a sentence each.
  package var notes: [String] = []
  /// Settings of the layers that the tensors do not show, as JSON; nil where there are none.
  package var configuration: String?
  /// Typed values that the result carries beside its tensors, such as the keys of a GGUF file.
  package var metadata: [MetadataEntry] = []
  /// What Keras calls the holders of the result's variables, by the path of their group.
  package var kerasNames: [String: String] = [:]
  /// Files that stand beside the result in its folder, such as `config.json`: name and text.
  package var companions: [String: String] = [:]
  /// The results that a change of type leaves alone.
  package var keptTypes: Set<String> = []
  /// The results whose type the recipe fixes, whatever type the source has.
  package var fixedTypes: [String: ElementType] = [:]

  /// Creates an empty set of rules.
  package init(recipe: String) { self.recipe = recipe }

  /// Leaves a tensor out, and says why.
  public mutating func drop(_ name: String, because reason: String) {
    dropped.append(DroppedTensor(name: name, reason: reason))
  }

  /// Adds a tensor of one value to the result, and says why.
  public mutating func imply(
    _ tensor: TensorInfo,
    _ value: ImpliedTensor.Value,
    because reason: String
  ) {
    implied.append(ImpliedTensor(tensor: tensor, value: value, reason: reason))
  }

  /// The name of the recipe that changes nothing.
  static let identityRecipe = "identity/1"

  /// Every tensor as it is, under the name it has.
  package init(keeping checkpoint: any CheckpointReader) {
    recipe = ConversionRules.identityRecipe
    rules = checkpoint.tensors.map { ConversionRule($0, to: $0.name) }
    kerasNames = (checkpoint as? HDF5Checkpoint)?.variableHolders ?? [:]
  }
}
