public import Readers
public import Tensors

/// What a conversion will do, tensor by tensor, known and checked before any data are read.
///
/// Every tensor of the source is used once or left out with a reason, and every tensor of the
/// result
/// is made once; otherwise there is no plan.
public struct ConversionPlan: Sendable {
  /// One tensor of the result.
  public struct Output: Sendable {
    /// Its name, type and shape.
    public let tensor: TensorInfo
    /// The names of the stored tensors it is made of; none for an implied one.
    public let sources: [String]
    /// What is done to them.
    public let operations: [TensorOperation]
    /// Whether the bytes are copied as they lie, or reordered tile by tile.
    public let streaming: Streaming
    let content: Content

    /// The bytes it takes.
    public var byteCount: Int {
      tensor.shape.elementCount.flatMap { tensor.elementType.byteCount(elements: $0) } ?? 0
    }
  }

  /// How the data of a tensor pass through memory.
  public enum Streaming: String, Sendable, Hashable {
    /// In runs, as they lie.
    case bytes
    /// In tiles that are reordered.
    case tile
    /// From nothing: all elements have one value.
    case constant
  }

  enum Content: Sendable {
    case expression(TensorExpression)
    case constant(ImpliedTensor.Value)
  }

  /// The recipe's name and version.
  public let recipe: String
  /// The tensors of the result, in the order of the source.
  public let outputs: [Output]
  /// What is left out, with reasons.
  public let dropped: [DroppedTensor]
  /// What the result holds beside the source's tensors.
  public let implied: [ImpliedTensor]
  /// What the user should know, a sentence each.
  public let notes: [String]
  /// Settings of the layers that the tensors do not show, as JSON.
  public let configuration: String?

  /// The bytes of all tensors of the result.
  public var byteCount: Int { outputs.reduce(0) { $0 + $1.byteCount } }
  /// The memory that buffers take at most, in bytes; it does not depend on the tensors' sizes.
  public var bufferBytes: Int { 2 * TransferBuffers.tileSize }

  /// Applies rules to a checkpoint.
  ///
  /// - Parameters:
  ///   - rules: What a recipe gives for this checkpoint.
  ///   - checkpoint: The source.
  /// - Throws: `PlanError` where a tensor is neither used nor left out, used twice, or made twice;
  ///   `OperationError` where an operation does not apply.
  public init(_ rules: ConversionRules, of checkpoint: any CheckpointReader) throws {
    try ConversionPlan.checkSources(rules, of: checkpoint)
    var outputs: [Output] = []
    for rule in rules.rules { outputs += try ConversionPlan.outputs(of: rule) }
    outputs += rules.implied.map { implied in
      Output(
        tensor: implied.tensor,
        sources: [],
        operations: [],
        streaming: .constant,
        content: .constant(implied.value)
      )
    }
    var names: Set<String> = []
    for output in outputs where !names.insert(output.tensor.name).inserted {
      throw PlanError(tensor: output.tensor.name, cause: "two tensors of the result have this name")
    }
    recipe = rules.recipe
    self.outputs = outputs
    dropped = rules.dropped
    implied = rules.implied
    notes = rules.notes + checkpoint.notes
    configuration = rules.configuration
  }

  private static func checkSources(
    _ rules: ConversionRules,
    of checkpoint: any CheckpointReader
  ) throws(PlanError) {
    var used: Set<String> = []
    let kept = rules.rules.flatMap { $0.sources.map(\.name) }
    for name in kept + rules.dropped.map(\.name) where !used.insert(name).inserted {
      throw PlanError(tensor: name, cause: "two rules of '\(rules.recipe)' apply to it")
    }
    let left = checkpoint.tensors.map(\.name).filter { !used.contains($0) }
    guard let first = left.first else { return }
    let others = left.count > 1 ? " (and \(left.count - 1) more)" : ""
    throw PlanError(tensor: first, cause: "no rule of '\(rules.recipe)' applies to it\(others)")
  }

  private static func outputs(of rule: ConversionRule) throws -> [Output] {
    let results = try TensorExpression.apply(rule.operations, to: rule.sources)
    let names = rule.sources.map(\.name)
    guard results.count == rule.targets.count else {
      let cause = "gives \(results.count) tensors for \(rule.targets.count) names"
      throw PlanError(tensor: names.first ?? "", cause: cause)
    }
    let types = Set(rule.sources.map(\.elementType))
    guard types.count == 1, let type = types.first else {
      throw PlanError(tensor: names.first ?? "", cause: "is joined with tensors of other types")
    }
    return zip(results, rule.targets).map { expression, target in
      let transfers = TensorTransfer.all(of: expression)
      return Output(
        tensor: TensorInfo(name: target, elementType: type, shape: expression.shape),
        sources: names,
        operations: rule.operations,
        streaming: transfers.allSatisfy(\.isRun) ? .bytes : .tile,
        content: .expression(expression)
      )
    }
  }
}

/// Why there is no plan: an incomplete or contradictory mapping.
public struct PlanError: ClassifiedError, Hashable {
  /// The tensor or layer.
  public let tensor: String
  /// What does not fit and what to do.
  public let cause: String

  /// Creates an error about a tensor or layer.
  public init(tensor: String, cause: String) {
    self.tensor = tensor
    self.cause = cause
  }

  /// Always a mismatch.
  public var kind: FailureKind { .mismatch }

  /// One line.
  public var description: String { "\(tensor): \(cause)" }
}
