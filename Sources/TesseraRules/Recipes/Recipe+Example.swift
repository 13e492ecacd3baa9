package import TesseraCheckpoints
import TesseraCore

extension Recipe {
  /// Names and shapes of a small checkpoint on the left side, with the sizes they were made from.
  ///
  /// Every rule applies, to two layers, three levels or three parts; sizes are drawn until all
  /// expressions are whole. Nil where no such sizes are found.
  package func example(
    using generator: inout some RandomNumberGenerator,
    draws: Int = 5000
  ) -> (tensors: [TensorInfo], sizes: [String: Int])? {
    for _ in 0..<draws {
      var known: [String: Int] = [:]
      for size in sizes {
        known[size.name] = [2, 4, 6, 8, 12, 16].randomElement(using: &generator)
      }
      let counts = countTemplates.mapValues { _ in 3 }
      var tensors: [TensorInfo]? = []
      for rule in rules where !rule.definition.isFallback {
        let made = example(of: rule, known, counts, using: &generator)
        tensors = made.flatMap { made in tensors.map { $0 + made } }
      }
      if let tensors { return (tensors, known) }
    }
    return nil
  }

  private func example(
    of rule: RecipeRule,
    _ known: [String: Int],
    _ counts: [String: Int],
    using generator: inout some RandomNumberGenerator
  ) -> [TensorInfo]? {
    var tensors: [TensorInfo] = []
    for binding in bindings(of: rule, counts) {
      var local = known
      for name in (rule.definition.shapes ?? []).joined().flatMap(\.names)
      where local[name] == nil {
        local[name] = [2, 4, 6].randomElement(using: &generator)
      }
      for (index, template) in rule.sides[0].enumerated() {
        guard let name = template.name(binding, counts) else { return nil }
        let shape = rule.definition.shapes.map { $0[index] } ?? [.number(4), .number(3)]
        let extents = shape.compactMap { $0.value(local) }
        guard extents.count == shape.count, extents.allSatisfy({ $0 > 0 }) else { return nil }
        let info = TensorInfo(name: name, elementType: .float32, shape: Shape(extents))
        guard isWhole(rule, info, local) else { return nil }
        tensors.append(info)
      }
    }
    return tensors
  }

  /// Whether all sizes in a rule's operations are whole.
  private func isWhole(_ rule: RecipeRule, _ tensor: TensorInfo, _ sizes: [String: Int]) -> Bool {
    guard rule.sides[0].count == 1, rule.definition.gather == nil else { return true }
    let form = TensorForm(shape: tensor.shape, elementType: tensor.elementType)
    return (try? RecipeOperation.operations(rule.definition.operations, on: [form], sizes)) != nil
  }

  private func bindings(of rule: RecipeRule, _ counts: [String: Int]) -> [NameBinding] {
    var bindings: [NameBinding] = [[:]]
    let kinds = rule.sides.joined().reduce(into: [String: NameTemplate.Kind]()) {
      $0.merge($1.kinds) { first, _ in first }
    }
    let names = Set(rule.sides[0].flatMap(\.placeholders)).subtracting(counts.keys)
    for name in names.sorted() {
      let values: [String] =
        switch kinds[name] {
        case .dotted: ["m.n"]
        case .word: ["w"]
        case .integer: (0..<(counts.isEmpty ? 2 : 3)).map { "\($0)" }
        case .computed, nil: ["0", "1"]
        }
      bindings = bindings.flatMap { binding in
        values.map { value in binding.merging([name: value]) { old, _ in old } }
      }
    }
    return bindings
  }
}
