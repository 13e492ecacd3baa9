import TesseraCheckpoints
import TesseraCore

/// Which rule applies to which tensors.
struct RecipeMatching {
  /// One application of a rule.
  struct Match {
    let rule: RecipeRule
    let binding: NameBinding
    /// The tensors on the left.
    let sources: [TensorInfo]
    /// The names on the right; none yet where one tensor is cut into many.
    let targets: [String]

    /// The shapes of the sources as the rule states them.
    var shapes: [[SizeExpression]]? {
      let shapes = rule.definition.shapes
      guard rule.definition.isGathering else { return shapes }
      return shapes.map { shapes in sources.map { _ in shapes[0] } }
    }
  }

  private let recipe: Recipe
  private let input: RecipeInput
  private let tensors: [String: TensorInfo]
  /// The numbers that templates count with, and the number of values of each placeholder.
  private(set) var counts: [String: Int] = [:]
  private(set) var matches: [Match] = []
  private(set) var dropped: [DroppedTensor] = []
  /// Tensors that the result holds under a second name: name and the one it repeats.
  private(set) var copies: [(name: String, of: String)] = []
  /// The bindings of each group's rules that have the same placeholders.
  private var tuples: [[String]: Set<NameBinding>] = [:]

  init(_ recipe: Recipe, _ input: RecipeInput) throws {
    (self.recipe, self.input) = (recipe, input)
    tensors = Dictionary(input.tensors.map { ($0.name, $0) }) { first, _ in first }
    counts = recipe.counts(of: input, on: 0)
    let tied = try resolveTies()
    try matchAll(except: tied)
    try checkComplete()
  }

  private func failure(_ tensor: String, _ cause: String) -> TesseraError {
    TesseraError.mismatch(cause, place: tensor).inRecipe(recipe.identifier)
  }

  /// Leaves out tensors that repeat others, and plans those that the result repeats.
  private mutating func resolveTies() throws -> Set<String> {
    var tied: Set<String> = []
    for tie in recipe.ties {
      let (left, right) = (tie.sides[0], tie.sides[1])
      guard let original = tensors[left.of] else { continue }
      // One that the result leaves out in any case does not stand in the way of a copy.
      if let repeated = tensors[left.name], drop(for: repeated) == nil {
        guard try input.isEqual(repeated, original) else { continue }
        tied.insert(left.name)
        if !right.isCopied {
          dropped.append(DroppedTensor(name: left.name, reason: "tied to \(left.of)"))
        } else {
          dropped.append(DroppedTensor(name: left.name, reason: "tied: made from \(left.of)"))
        }
      }
      if right.isCopied { copies.append((right.name, right.of)) }
    }
    return tied
  }

  private mutating func matchAll(except tied: Set<String>) throws {
    var done: Set<String> = tied
    for tensor in input.tensors where !done.contains(tensor.name) {
      if let drop = drop(for: tensor) {
        dropped.append(drop)
        continue
      }
      if recipe.holdsRotaryFactors(tensor.name, on: 0) {
        let reason = "follows from the settings of the rotary positions"
        dropped.append(DroppedTensor(name: tensor.name, reason: reason))
        continue
      }
      guard let (rule, binding) = rule(for: tensor.name) else {
        try dropConstant(tensor)
        continue
      }
      if rule.definition.isGathering {
        let match = try gathered(rule, binding, tensor)
        done.formUnion(match.sources.map(\.name))
        matches.append(match)
        continue
      }
      let names = rule.sides[0].compactMap { $0.name(binding, counts) }
      let targets = rule.sides[1].compactMap { $0.name(binding, counts) }
      let isScattering = rule.definition.gather != nil
      guard names.count == rule.sides[0].count,
        isScattering || targets.count == rule.sides[1].count
      else {
        throw failure(tensor.name, "its number is outside of what the others allow")
      }
      var sources: [TensorInfo] = []
      for name in names {
        guard let source = tensors[name], !tied.contains(name) else {
          throw failure(name, "is missing; it belongs with '\(tensor.name)'")
        }
        sources.append(source)
        done.insert(name)
      }
      matches.append(Match(rule: rule, binding: binding, sources: sources, targets: targets))
    }
  }

  private func rule(for name: String) -> (RecipeRule, NameBinding)? {
    for rule in recipe.rules {
      for template in rule.sides[0] {
        if let binding = template.match(name, counts) { return (rule, binding) }
      }
    }
    return nil
  }

  /// The parts that are stacked, of which one is given.
  private func gathered(
    _ rule: RecipeRule,
    _ binding: NameBinding,
    _ tensor: TensorInfo
  ) throws -> Match {
    let gather = rule.definition.gather ?? ""
    var common = binding
    common[gather] = nil
    var sources: [TensorInfo] = []
    while true {
      let next = common.merging([gather: "\(sources.count)"]) { old, _ in old }
      guard let name = rule.sides[0][0].name(next, counts), let part = tensors[name] else { break }
      sources.append(part)
    }
    guard sources.contains(tensor), let target = rule.sides[1][0].name(common, counts) else {
      let cause = "the ones before it are missing: number \(sources.count) of \(gather)"
      throw failure(tensor.name, cause)
    }
    return Match(rule: rule, binding: common, sources: sources, targets: [target])
  }

  private func drop(for tensor: TensorInfo) -> DroppedTensor? {
    recipe.drops.first { $0.side == 0 && $0.template.match(tensor.name) != nil }
      .map { DroppedTensor(name: tensor.name, reason: $0.reason) }
  }

  private mutating func dropConstant(_ tensor: TensorInfo) throws {
    for constant in recipe.constants
    where constant.side == 0 && constant.template.match(tensor.name) != nil {
      guard try input.isConstant(tensor, constant.value) else {
        let cause =
          "is not \(constant.value.rawValue) everywhere: \(recipe.right.name) has no place"
        throw failure(tensor.name, cause)
      }
      let reason = "\(constant.value.rawValue) everywhere: \(constant.reason)"
      dropped.append(DroppedTensor(name: tensor.name, reason: reason))
      return
    }
    let label = "'\(recipe.left.name)'"
    throw failure(tensor.name, "is no tensor of the layout \(label): no rule applies to it")
  }

  /// The layers (or other numbers) for which a template with these placeholders is due.
  func bindings(of placeholders: [String]) -> Set<NameBinding> {
    tuples.reduce(into: []) { all, entry in
      if Array(entry.key.dropFirst()) == placeholders { all.formUnion(entry.value) }
    }
  }

  /// Refuses a checkpoint that lacks a tensor, or a layer in between.
  private mutating func checkComplete() throws {
    for match in matches where match.rule.isCountable {
      let names = match.rule.integers
      let tuple = match.binding.filter { names.contains($0.key) }
      tuples[[match.rule.definition.group] + names, default: []].insert(tuple)
    }
    for (key, bindings) in tuples.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) })
    where key.count == 2 {
      let numbers = bindings.compactMap { $0[key[1]].flatMap { Int($0) } }
      counts[key[1]] = max(counts[key[1]] ?? 0, (numbers.max() ?? -1) + 1)
    }
    for rule in recipe.rules
    where !rule.definition.isOptional && !rule.definition.isFallback {
      try checkPresent(rule)
    }
  }

  private func checkPresent(_ rule: RecipeRule) throws {
    let found = matches.filter { $0.rule == rule }
    let group = rule.definition.group
    let names = rule.integers
    guard rule.isCountable else {
      if found.isEmpty, group.isEmpty { throw missing(rule.sides[0][0].text) }
      return
    }
    var due = group.isEmpty ? bindings(of: names) : tuples[[group] + names] ?? []
    if group.isEmpty, names.count == 1, let count = counts[names[0]] {
      // One more than there are tensors: among so many numbers one is missing in any case.
      let numbers = 0..<min(count, input.tensors.count + 1)
      due.formUnion(numbers.map { [names[0]: "\($0)"] })
    }
    if group.isEmpty, names.isEmpty { due = [[:]] }
    if group.isEmpty, due.isEmpty { throw missing(rule.sides[0][0].text) }
    let present = Set(found.map { $0.binding.filter { names.contains($0.key) } })
    let order = due.subtracting(present).sorted { a, b in
      names.map { Int(a[$0] ?? "") ?? 0 }.lexicographicallyPrecedes(
        names.map { Int(b[$0] ?? "") ?? 0 }
      )
    }
    if let first = order.first {
      throw missing(rule.sides[0][0].name(first, counts) ?? rule.sides[0][0].text)
    }
  }

  private func missing(_ name: String) -> TesseraError {
    failure(name, "is missing; the layout '\(recipe.left.name)' has it")
  }
}
