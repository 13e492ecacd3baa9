public import TesseraCheckpoints
public import TesseraCore

/// Tensors of a checkpoint on one side, tensors of the result on the other, operations in between.
public struct ConversionRule: Sendable, Hashable {
  /// What is read, in the order in which the operations take them.
  public let sources: [TensorInfo]
  /// What is done, first to last.
  public let operations: [TensorOperation]
  /// The names of the results, in the order in which the operations give them.
  public let targets: [String]

  /// Creates a rule.
  public init(sources: [TensorInfo], operations: [TensorOperation] = [], targets: [String]) {
    self.sources = sources
    self.operations = operations
    self.targets = targets
  }

  /// Makes one tensor into one other.
  public init(_ source: TensorInfo, _ operations: [TensorOperation] = [], to target: String) {
    self.init(sources: [source], operations: operations, targets: [target])
  }
}

/// A tensor of the result that the source implies without storing it.
public struct ImpliedTensor: Sendable, Hashable {
  /// The value of every element.
  public enum Value: String, Sendable, Hashable {
    case zero = "0"
    case one = "1"
  }

  /// Name, type and shape in the result.
  public let tensor: TensorInfo
  /// The value of every element.
  public let value: Value
  /// Why the result needs it.
  public let reason: String
}

/// A tensor of the source that the result does not hold.
public struct DroppedTensor: Sendable, Hashable {
  /// Its name in the source.
  public let name: String
  /// Why it is left out.
  public let reason: String
}

/// A tensor of the result that repeats another one under its own name.
public struct TensorCopy: Sendable, Hashable {
  /// Its name.
  public let name: String
  /// The tensor of the result that it repeats.
  public let of: String
}

/// A tensor of the result whose values follow from the source's settings.
public struct StatedTensor: Sendable, Hashable {
  /// Its name.
  public let name: String
  /// Its values.
  public let tensor: Tensor
}

/// Rules for every tensor of one checkpoint: what a recipe gives for it.
public struct ConversionRules: Sendable {
  /// The recipe's name and version, as the result records it.
  public var recipe: String
  /// What becomes of the tensors that are kept.
  public var rules: [ConversionRule] = []
  /// What the result holds beside them.
  public var implied: [ImpliedTensor] = []
  /// What the result holds because the source's settings say it.
  public var stated: [StatedTensor] = []
  /// What is left out.
  public var dropped: [DroppedTensor] = []
  /// Tensors that the result holds under a second name.
  public var copies: [TensorCopy] = []
  /// The family and layout of the result, such as `mamba.hf`; nil where no recipe gives it.
  public var layout: String?
  /// What the user must know to use the result, a sentence each.
  public var notes: [String] = []
  /// Settings of the layers that the tensors do not show, as JSON; nil where there are none.
  public var configuration: String?
  /// Typed values that the result carries beside its tensors, such as the keys of a GGUF file.
  public var metadata: [MetadataEntry] = []
  /// What Keras calls the holders of the result's variables, by the path of their group.
  public var kerasNames: [String: String] = [:]
  /// Files that stand beside the result in its folder, such as `config.json`: name and text.
  public var companions: [String: String] = [:]
  /// The results that a change of type leaves alone.
  public var keptTypes: Set<String> = []
  /// The results whose type the recipe fixes, whatever type the source has.
  public var fixedTypes: [String: ElementType] = [:]

  /// Creates an empty set of rules.
  public init(recipe: String) { self.recipe = recipe }

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
  public init(keeping checkpoint: any CheckpointReader) {
    recipe = ConversionRules.identityRecipe
    rules = checkpoint.tensors.map { ConversionRule($0, to: $0.name) }
    kerasNames = (checkpoint as? HDF5Checkpoint)?.variableHolders ?? [:]
  }
}
