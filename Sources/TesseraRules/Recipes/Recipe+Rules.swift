import TesseraCheckpoints
import TesseraCore

extension Recipe {
  /// The rules for one checkpoint, from left to right.
  ///
  /// - Parameters:
  ///   - input: The tensors and their settings.
  ///   - settings: Sizes that the user states.
  /// - Returns: What becomes of every tensor.
  /// - Throws: `TesseraError` where a tensor is missing, unknown or has another shape, or where the
  ///   checkpoint is on the right side already.
  package func rules(
    for input: RecipeInput,
    settings: [String: Int] = [:]
  ) throws -> ConversionRules {
    try refuseRepetition(of: input)
    let matching = try RecipeMatching(self, input)
    let sizes = try RecipeSizes(self, matching, input, settings: settings)
    var rules = ConversionRules(recipe: identifier)
    for match in matching.matches {
      let rule: ConversionRule
      do {
        rule = try conversionRule(match, sizes.sizes(of: match), matching.counts)
      } catch {
        throw error.at(match.sources.first?.name ?? match.rule.label)
      }
      rules.rules.append(rule)
      for target in rule.targets {
        if let type = match.rule.definition.types[1] { rules.fixedTypes[target] = type }
        if match.rule.definition.isKept || match.rule.definition.types[1] != nil {
          rules.keptTypes.insert(target)
        }
      }
    }
    rules.dropped = matching.dropped
    rules.copies = matching.copies.map { TensorCopy(name: $0.name, of: $0.of) }
    try addConstants(to: &rules, matching, sizes.known)
    rules.notes = notes + sizes.notes
    let scaling = try rotaryScaling(of: input, sizes.known)
    try addSettings(to: &rules, from: input, sizes.known, scaling)
    try addRotary(scaling, to: &rules, from: input, sizes.known)
    rules.layout = "\(family).\(right.name)"
    return rules
  }

  /// One match as operations on tensors.
  private func conversionRule(
    _ match: RecipeMatching.Match,
    _ sizes: [String: Int],
    _ counts: [String: Int]
  ) throws(TesseraError) -> ConversionRule {
    let definition = match.rule.definition
    var forms = match.sources.map { TensorForm(shape: $0.shape, elementType: $0.elementType) }
    var operations: [TensorOperation] = []
    if definition.isGathering { operations = try gathering(match.sources, &forms) }
    operations += try RecipeOperation.operations(definition.operations, on: forms, sizes)
    guard let gather = definition.gather, !definition.isGathering else {
      return ConversionRule(
        sources: match.sources,
        operations: operations,
        targets: match.targets
      )
    }
    let shape = try shape(of: forms, after: operations)
    guard let count = shape.first, count > 0 else {
      throw TesseraError.mismatch("has no parts").inRecipe(identifier)
    }
    let part = Array(shape.dropFirst())
    let targets = (0..<count).compactMap { index in
      match.rule.sides[1][0].name(
        match.binding.merging([gather: "\(index)"]) { old, _ in old },
        counts
      )
    }
    operations += [
      .split(axis: 0, sizes: targets.map { _ in 1 }),
      .reshape(from: Shape([1] + part), to: Shape(part)),
    ]
    return ConversionRule(sources: match.sources, operations: operations, targets: targets)
  }

  /// The operations that put tensors of one shape into one, along a new first axis.
  private func gathering(
    _ sources: [TensorInfo],
    _ forms: inout [TensorForm]
  ) throws(TesseraError) -> [TensorOperation] {
    let shape = sources[0].shape
    if let odd = sources.first(where: { $0.shape != shape }) {
      let cause = "has shape \(odd.shape), '\(sources[0].name)' has \(shape)"
      throw TesseraError.mismatch(cause, place: odd.name).inRecipe(identifier)
    }
    let whole = Shape([sources.count] + shape.dimensions)
    forms = [TensorForm(shape: whole, elementType: forms[0].elementType)]
    return [
      .reshape(from: shape, to: Shape([1] + shape.dimensions)),
      .concatenate(axis: 0, sizes: sources.map { _ in 1 }),
    ]
  }

  /// The extents of the first tensor that operations give.
  private func shape(
    of forms: [TensorForm],
    after operations: [TensorOperation]
  ) throws(TesseraError) -> [Int] {
    var forms = forms
    do {
      for operation in operations { forms = try operation.forms(after: forms) }
    } catch {
      throw TesseraError.mismatch(error.description).inRecipe(identifier)
    }
    return forms[0].shape.dimensions
  }

  private func refuseRepetition(of input: RecipeInput) throws(TesseraError) {
    guard side(of: input) == 1 else { return }
    let cause =
      "is in the layout '\(right.name)' already; for the way back say --to \(left.name)"
    throw TesseraError.mismatch(cause, place: "the checkpoint").inRecipe(identifier)
  }

  private func addConstants(
    to rules: inout ConversionRules,
    _ matching: RecipeMatching,
    _ sizes: [String: Int]
  ) throws {
    for constant in constants where constant.side == 1 {
      let names = constant.template.placeholders.sorted()
      let bindings: Set<NameBinding> = names.isEmpty ? [[:]] : matching.bindings(of: names)
      for binding in bindings.sorted(by: { "\($0)" < "\($1)" }) {
        guard let name = constant.template.name(binding, matching.counts) else { continue }
        let extents = constant.shape.compactMap { $0.value(sizes) }
        guard extents.count == constant.shape.count, extents.allSatisfy({ $0 >= 0 }) else {
          throw TesseraError.malformed("its shape is not known", place: name).inRecipe(identifier)
        }
        let info = TensorInfo(name: name, elementType: constant.type, shape: Shape(extents))
        rules.imply(info, constant.value, because: constant.reason)
      }
    }
  }

  /// Which side's layout a checkpoint has: 0 left, 1 right; nil where names and settings do not tell.
  func side(of input: RecipeInput) -> Int? {
    if let layout = input.attributes["tessera.layout"] {
      if layout == "\(family).\(left.name)" { return 0 }
      if layout == "\(family).\(right.name)" { return 1 }
    }
    let scores = [0, 1].map { exclusiveMatches(of: input, on: $0) }
    if scores[0] == scores[1] { return nil }
    return scores[0] > scores[1] ? 0 : 1
  }

  private func exclusiveMatches(of input: RecipeInput, on side: Int) -> Int {
    let counts = [0, 1].map { self.counts(of: input, on: $0) }
    return input.tensors.count { tensor in
      matches(tensor.name, on: side, counts[side])
        && !matches(tensor.name, on: 1 - side, counts[1 - side])
    }
  }

  /// The numbers that a side's templates count with.
  func counts(of input: RecipeInput, on side: Int) -> [String: Int] {
    countTemplates.mapValues { templates in
      Set(input.tensors.compactMap { templates[side].match($0.name) }).count
    }
  }

  /// Whether a name belongs to a side, dropped and constant ones included.
  func matches(_ name: String, on side: Int, _ counts: [String: Int]) -> Bool {
    rules.contains {
      !$0.definition.isFallback && $0.sides[side].contains { $0.match(name, counts) != nil }
    }
      || drops.contains { $0.side == side && $0.template.match(name) != nil }
      || constants.contains { $0.side == side && $0.template.match(name) != nil }
      || ties.contains { $0.sides[side].name == name } || holdsRotaryFactors(name, on: side)
  }

  /// Whether the settings beside the tensors say that they are of this family; nil without settings.
  func marksAgree(_ input: RecipeInput, on side: Int) -> Bool? {
    let layout = side == 0 ? left : right
    guard !layout.marks.isEmpty, input.hasSettings(of: layout) else { return nil }
    return layout.marks.allSatisfy { key, expected in
      guard let value = input.setting(key, in: layout) else { return false }
      return value == expected || value.string == expected.spelled
    }
  }
}

extension JSONValue {
  /// A scalar as text.
  var spelled: String? {
    switch self {
    case .string(let text): text
    case .bool(let value): "\(value)"
    case .number(let value):
      Int(exactly: value).map { "\($0)" } ?? "\(value)"
    default: nil
    }
  }
}
