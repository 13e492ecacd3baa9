package import TesseraCheckpoints
package import TesseraCore

/// What a conversion will do, tensor by tensor, known and checked before any data are read.
///
/// Every tensor of the source is used once or left out with a reason, and every tensor of the
/// result
/// is made once; otherwise there is no plan.
package struct ConversionPlan: Sendable {
  /// One tensor of the result.
  package struct Output: Sendable {
    /// Its name, type and shape.
    package let tensor: TensorInfo
    /// The names of the stored tensors it is made of; none for an implied one.
    package let sources: [String]
    /// What is done to them.
    package let operations: [TensorOperation]
    let content: Content

    /// The bytes it takes.
    package var byteCount: Int {
      tensor.shape.elementCount.flatMap { tensor.elementType.byteCount(elements: $0) } ?? 0
    }

    /// What it takes to get the sources back.
    package var reversibility: Reversibility { operations.map(\.reversibility).max() ?? .exact }

    /// How the data pass through memory.
    package var streaming: Streaming {
      guard case .expression(let expression) = content else { return .constant }
      if expression.wholeByteCount > 0 { return .whole }
      return TensorTransfer.all(of: expression).allSatisfy(\.isRun) ? .bytes : .tile
    }

    /// The memory that whole tensors take on the way, in bytes.
    var wholeByteCount: Int {
      if case .expression(let expression) = content { expression.wholeByteCount } else { 0 }
    }
  }

  /// How the data of a tensor pass through memory.
  package enum Streaming: String, Sendable, Hashable {
    /// In runs, as they lie.
    case bytes
    /// In tiles that are reordered.
    case tile
    /// Through whole tensors in memory.
    case whole
    /// From nothing: all elements have one value.
    case constant
  }

  enum Content: Sendable {
    case expression(TensorExpression)
    case constant(ImpliedTensor.Value)
  }

  /// The names and versions of the recipes, in the order in which they apply, joined by ` + `.
  package private(set) var recipe: String
  /// The tensors of the result, in the order of the source.
  package internal(set) var outputs: [Output]
  /// What is left out, with reasons.
  package internal(set) var dropped: [DroppedTensor]
  /// What the result holds beside the source's tensors.
  package private(set) var implied: [ImpliedTensor]
  /// What the user should know, a sentence each.
  package internal(set) var notes: [String]
  /// Settings of the layers that the tensors do not show, as JSON.
  package private(set) var configuration: String?
  /// Typed values that the result carries beside its tensors, for formats that have them.
  package private(set) var metadata: [MetadataEntry]
  /// What Keras calls the holders of the result's variables, by the path of their group.
  package private(set) var kerasNames: [String: String]
  /// Files that stand beside the result in its folder: name and text.
  package private(set) var companions: [String: String]
  /// The family and layout of the result, such as `mamba.hf`; nil where no recipe gives it.
  package private(set) var layout: String?
  /// The results that `casting(to:keeping:)` leaves alone.
  package private(set) var keptTypes: Set<String>

  /// The bytes of all tensors of the result.
  package var byteCount: Int { outputs.reduce(0) { $0 + $1.byteCount } }
  /// The memory that buffers take at most, in bytes: two tiles, and what passes as a whole.
  package var bufferBytes: Int {
    2 * TransferBuffers.tileSize + (outputs.map(\.wholeByteCount).max() ?? 0)
  }
  /// Whether names or layouts change at all.
  var isChange: Bool { recipe != ConversionRules.identityRecipe }
  /// The tensors of the result.
  package var tensors: [TensorInfo] { outputs.map(\.tensor) }

  /// Applies rules to a checkpoint.
  ///
  /// - Parameters:
  ///   - rules: What a recipe gives for this checkpoint.
  ///   - checkpoint: The source.
  /// - Throws: `TesseraError` where a tensor is neither used nor left out, used twice, or made twice, or
  ///   where an operation does not apply.
  package init(_ rules: ConversionRules, of checkpoint: any CheckpointReader) throws {
    try self.init(rules, of: checkpoint.tensors.map { Output(stored: $0) })
    notes = rules.notes + checkpoint.notes
  }

  /// The plan that does what this one does and then applies rules to its result, in one pass.
  ///
  /// - Parameter rules: What a recipe gives for `tensors`.
  /// - Returns: A plan from this one's source to the rules' result.
  /// - Throws: As the initializer.
  package func followed(by rules: ConversionRules) throws -> ConversionPlan {
    var plan = try ConversionPlan(rules, of: outputs)
    plan.recipe = "\(recipe) + \(plan.recipe)"
    plan.dropped = dropped + plan.dropped
    plan.notes = notes + plan.notes
    return plan
  }

  private init(_ rules: ConversionRules, of inputs: [Output]) throws {
    try ConversionPlan.checkSources(rules, of: inputs.map(\.tensor.name))
    let given = Dictionary(uniqueKeysWithValues: inputs.map { ($0.tensor.name, $0) })
    var outputs: [Output] = []
    for rule in rules.rules {
      outputs += try ConversionPlan.outputs(of: rule, from: rule.sources.map { given[$0.name] })
    }
    outputs += rules.implied.map { implied in
      Output(tensor: implied.tensor, sources: [], operations: [], content: .constant(implied.value))
    }
    outputs += rules.stated.map { stated in
      Output(
        tensor: TensorInfo(
          name: stated.name,
          elementType: stated.tensor.elementType,
          shape: stated.tensor.shape
        ),
        sources: [],
        operations: [],
        content: .expression(TensorExpression(stated.tensor))
      )
    }
    for copy in rules.copies {
      guard let original = outputs.first(where: { $0.tensor.name == copy.of }) else { continue }
      outputs.append(original.repeated(as: copy.name))
    }
    var names: Set<String> = []
    for output in outputs where !names.insert(output.tensor.name).inserted {
      throw TesseraError.mismatch(
        "two tensors of the result have this name",
        place: output.tensor.name
      )
    }
    recipe = rules.recipe
    self.outputs = try outputs.map { output in
      guard let type = rules.fixedTypes[output.tensor.name] else { return output }
      return try output.cast(to: type)
    }
    dropped = rules.dropped
    implied = rules.implied
    notes = rules.notes
    configuration = rules.configuration
    metadata = rules.metadata
    kerasNames = rules.kerasNames
    companions = rules.companions
    keptTypes = rules.keptTypes
    layout = rules.layout
  }

  /// The plan with every floating-point result in another type.
  ///
  /// Integers, booleans and complex numbers stay as they are, and so do the results that the recipe
  /// keeps.
  ///
  /// - Parameters:
  ///   - type: F64, F32, F16 or BF16.
  ///   - isKept: Names the results to leave alone.
  /// - Returns: The same plan, with casts at the end of its operations.
  /// - Throws: `TesseraError` where the type is none of these.
  package func casting(
    to type: ElementType,
    keeping isKept: (String) -> Bool = { _ in false }
  ) throws -> ConversionPlan {
    var plan = self
    plan.outputs = try outputs.map { output in
      let name = output.tensor.name
      guard output.tensor.elementType.isCastable, !keptTypes.contains(name), !isKept(name) else {
        return output
      }
      return try output.cast(to: type)
    }
    return plan
  }

  private static func checkSources(
    _ rules: ConversionRules,
    of names: [String]
  ) throws(TesseraError) {
    var used: Set<String> = []
    let kept = rules.rules.flatMap { $0.sources.map(\.name) }
    for name in kept + rules.dropped.map(\.name) where !used.insert(name).inserted {
      throw TesseraError.mismatch("two rules of '\(rules.recipe)' apply to it", place: name)
    }
    let left = names.filter { !used.contains($0) }
    guard let first = left.first else { return }
    let others = left.count > 1 ? " (and \(left.count - 1) more)" : ""
    throw TesseraError.mismatch("no rule of '\(rules.recipe)' applies to it\(others)", place: first)
  }

  private static func outputs(of rule: ConversionRule, from inputs: [Output?]) throws -> [Output] {
    var operands: [TensorExpression] = []
    for (source, input) in zip(rule.sources, inputs) {
      guard let input else {
        throw TesseraError.mismatch(
          "a rule names it, but there is no such tensor",
          place: source.name
        )
      }
      operands.append(input.expression)
    }
    let names = rule.sources.map(\.name)
    let results: [TensorExpression]
    do {
      results = try TensorExpression.apply(rule.operations, to: operands)
    } catch {
      throw TesseraError.mismatch(error.description, place: names.joined(separator: ", "))
    }
    guard results.count == rule.targets.count else {
      let cause = "gives \(results.count) tensors for \(rule.targets.count) names"
      throw TesseraError.mismatch(cause, place: names.first ?? "")
    }
    var before: [TensorOperation] = []
    for input in inputs.compactMap({ $0 }) where !before.contains(input.operations) {
      before += input.operations
    }
    return zip(results, rule.targets).map { expression, target in
      Output(
        tensor: TensorInfo(
          name: target,
          elementType: expression.elementType,
          shape: expression.shape
        ),
        sources: inputs.compactMap { $0?.sources }.flatMap { $0 },
        operations: before + rule.operations,
        content: .expression(expression)
      )
    }
  }
}

extension ConversionPlan.Output {
  /// A tensor of the source as it is, under its name or another.
  init(stored tensor: TensorInfo, as name: String? = nil) {
    let result = TensorInfo(
      name: name ?? tensor.name,
      elementType: tensor.elementType,
      shape: tensor.shape,
      aliasOf: name == nil ? tensor.aliasOf : nil
    )
    self.init(
      tensor: result,
      sources: [tensor.name],
      operations: [],
      content: .expression(TensorExpression(tensor))
    )
  }

  /// What operations apply to.
  fileprivate var expression: TensorExpression {
    switch content {
    case .expression(let expression): expression
    case .constant(let value): TensorExpression(tensor, filledWith: value)
    }
  }

  /// The same tensor under another name.
  fileprivate func repeated(as name: String) -> Self {
    let info = TensorInfo(
      name: name,
      elementType: tensor.elementType,
      shape: tensor.shape,
      aliasOf: tensor.name
    )
    return Self(tensor: info, sources: sources, operations: operations, content: content)
  }

  fileprivate func cast(to type: ElementType) throws(TesseraError) -> Self {
    if tensor.elementType == type { return self }
    let operation = TensorOperation.cast(from: tensor.elementType, to: type)
    let info = TensorInfo(
      name: tensor.name,
      elementType: type,
      shape: tensor.shape,
      aliasOf: tensor.aliasOf
    )
    guard case .expression(let expression) = content else {
      return Self(tensor: info, sources: sources, operations: operations, content: content)
    }
    let result = try TensorExpression.apply([operation], to: [expression])
    return Self(
      tensor: info,
      sources: sources,
      operations: operations + [operation],
      content: .expression(result[0])
    )
  }
}
